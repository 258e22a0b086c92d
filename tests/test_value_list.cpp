#include "host/cli/value_list.hpp"

#include "support/files.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ntk {
namespace {

using cli::parse_values;
using testing::expect_error;

TEST(ValueList, NumbersAndRanges) {
    EXPECT_EQ(parse_values("--ridge", "0"), std::vector<double>{0});
    EXPECT_EQ(parse_values("--ridge", "1e-3,0,1e-6,1e-3"), (std::vector<double>{0, 1e-6, 1e-3}));
    EXPECT_EQ(parse_values("--ridge", "1e-8:1e-5:log:1"), (std::vector<double>{1e-8, 1e-7, 1e-6, 1e-5}));
    EXPECT_EQ(parse_values("--ridge", "0,0.1:10:log:1,100"), (std::vector<double>{0, 0.1, 1, 10, 100}));
    EXPECT_EQ(parse_values("--time", "2:7:log:1"), (std::vector<double>{2, 7}));
    EXPECT_EQ(parse_values("--time", "1,inf").back(), std::numeric_limits<double>::infinity());
    const auto fine = parse_values("--ridge", "1e-8:1:log");
    ASSERT_EQ(fine.size(), 41U);
    for (std::size_t k = 1; k < fine.size(); ++k) EXPECT_NEAR(fine[k] / fine[k - 1], std::pow(10, 0.2), 1e-12);
}

TEST(ValueList, RefusesEverythingElseByName) {
    for (const char* wrong : {"", "x", "-1", "nan", "1,,2", "1e-3x", "1:2", "1:2:3", "0:1:log", "1:inf:log", "2:1:log", "1:2:log:0",
                              "1:2:log:x", "1:2:log:1:1", "1:2:log:1e9"})
        expect_error(ErrorCode::invalid_argument, {"--ridge", wrong}, [&] { (void)parse_values("--ridge", wrong); });
}

}  // namespace
}  // namespace ntk
