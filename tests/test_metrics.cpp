#include "support/samples.hpp"

#include <ntkcuda/metrics.hpp>

#include <gtest/gtest.h>

#include <cmath>

namespace ntk {
namespace {

using namespace testing;

Dataset three_classes(std::vector<Index> label) {
    Dataset data;
    data.x = HostMatrix<double>(static_cast<Index>(label.size()), 1);
    data.label = std::move(label);
    data.classes = {"a", "b", "c"};
    return data;
}

TEST(Accuracy, IsTheShareOfLargestEntriesAndTiesGoToTheFirst) {
    const HostMatrix<double> predicted(4, 3, {0.1, 0.7, 0.2, -1, -2, -3, 0.5, 0.5, 0.1, 0, 1, 2});
    EXPECT_EQ(accuracy(predicted, three_classes({1, 0, 0, 2})), 1);
    EXPECT_EQ(accuracy(predicted, three_classes({1, 1, 1, 0})), 0.25);
}

TEST(Accuracy, RefusesWhatItCannotJudge) {
    const HostMatrix<double> predicted(1, 3, {0, 1, 2});
    expect_error(ErrorCode::shape_mismatch, "2 samples x 3 classes", [&] { (void)accuracy(predicted, three_classes({0, 1})); });
    expect_error(ErrorCode::invalid_argument, "no samples", [&] { (void)accuracy(predicted, three_classes({})); });
    Dataset regression = three_classes({0});
    regression.classes.clear();
    expect_error(ErrorCode::invalid_argument, "class labels", [&] { (void)accuracy(predicted, regression); });
    const HostMatrix<double> bad(2, 3, {0, 1, 2, 0, std::nan(""), 1});
    expect_error(ErrorCode::invalid_argument, "prediction 2", [&] { (void)accuracy(bad, three_classes({0, 1})); });
}

TEST(Rmse, IsTheRootOfTheMeanSquareOverSamplesAndTargets) {
    EXPECT_DOUBLE_EQ(rmse({2, 2, {1, 2, 3, 4}}, {2, 2, {1, 2, 3, 0}}), 2);
    EXPECT_EQ(rmse({1, 2, {5, 6}}, {1, 2, {5, 6}}), 0);
}

TEST(Rmse, RefusesOtherShapesAndNotANumber) {
    expect_error(ErrorCode::shape_mismatch, "1 x 2", [] { (void)rmse({1, 2}, {2, 1}); });
    expect_error(ErrorCode::shape_mismatch, "0 x 2", [] { (void)rmse({0, 2}, {0, 2}); });
    expect_error(ErrorCode::invalid_argument, "not a number", [] { (void)rmse({1, 1, {std::nan("")}}, {1, 1, {1.0}}); });
}

}  // namespace
}  // namespace ntk
