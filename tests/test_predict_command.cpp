// predict over ridges and times, from a kept fit and from kernels given as files; spectra of `kernel`.

#include "support/program.hpp"

#include <ntkcuda/ntkcuda.hpp>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace {

using namespace ntk;
using namespace ntk::testing;
using ::testing::HasSubstr;

/// Samples of a smooth function, and classes by its sign, in train and test files; the labels also alone.
void write_inputs(const TemporaryFolder& s) {
    const auto write = [&](const std::string& name, int from, int to) {
        std::string values = "a,b,c,y\n", classes = "a,b,c,label\n", labels = "label\n";
        for (int i = from; i < to; ++i) {
            const std::string x = fmt::format("{},{},{}", std::cos(i), 10 + std::sin(2 * i), 1e3 * std::cos(3 * i + 1));
            const double y = std::cos(i) * std::sin(2 * i) + 0.1 * std::sin(37 * i);
            values += fmt::format("{},{}\n", x, y);
            classes += fmt::format("{},{}\n", x, y > 0 ? "up" : "down");
            labels += y > 0 ? "up\n" : "down\n";
        }
        s.file(name + "_values.csv", values);
        s.file(name + ".csv", classes);
        s.file(name + "_labels.csv", labels);
    };
    write("train", 0, 60);
    write("test", 60, 75);
}

struct Table {
    std::vector<std::string> header;
    std::vector<std::vector<double>> rows;

    [[nodiscard]] double at(std::size_t row, const std::string& column) const {
        const auto found = std::find(header.begin(), header.end(), column);
        if (found == header.end()) {
            ADD_FAILURE() << "no column " << column;
            return 0;
        }
        return rows[row][static_cast<std::size_t>(found - header.begin())];
    }
};

Table read_table(const std::string& path) {
    Table table;
    std::istringstream lines(read_bytes(path));
    for (std::string line; std::getline(lines, line);) {
        std::istringstream cells(line);
        std::vector<std::string> row;
        for (std::string cell; std::getline(cells, cell, ',');) row.push_back(cell);
        if (table.header.empty()) {
            table.header = row;
            continue;
        }
        table.rows.emplace_back();
        for (const auto& cell : row) table.rows.back().push_back(std::stod(cell));
    }
    return table;
}

nlohmann::json results(const TemporaryFolder& folder, const std::string& record) {
    return nlohmann::json::parse(read_bytes(folder.path(record))).at("results");
}

void expect_done(const TemporaryFolder& folder, const std::string& arguments) {
    const Outcome outcome = run_program(folder, arguments + " --device cpu");
    EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.err;
}

std::vector<double> slice(const Array& array, std::size_t k) {
    const auto size = static_cast<std::ptrdiff_t>(array.values.size() / static_cast<std::size_t>(array.shape[0]));
    const auto first = array.values.begin() + static_cast<std::ptrdiff_t>(k) * size;
    return {first, first + size};
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
    if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
    double largest = 0;
    for (std::size_t k = 0; k < a.size(); ++k) largest = std::max(largest, std::abs(a[k] - b[k]));
    return largest;
}

TEST(PredictRidges, OneEigendecompositionGivesWhatEachRidgeGives) {
    const TemporaryFolder folder;
    write_inputs(folder);
    const std::string common = "predict --data train.csv --test test.csv ";
    expect_done(folder, common + "--ridge 1e-3:10:log:1 --out path");
    const Table table = read_table(folder.path("path/ridges.csv"));
    ASSERT_EQ(table.rows.size(), 5U);
    const Array all = read_npy(folder.path("path/predictions_path.npy"));
    ASSERT_EQ(all.shape, (std::vector<Index>{5, 15, 2}));
    std::size_t best = 0;
    for (std::size_t k = 0; k < 5; ++k) {
        const std::string out = fmt::format("one{}", k);
        expect_done(folder, fmt::format("{} --ridge {} --out {}", common, table.at(k, "ridge"), out));
        const auto one = results(folder, out + "/run.json");
        EXPECT_LE(largest_difference(slice(all, k), read_npy(folder.path(out + "/predictions.npy")).values), 1e-10);
        EXPECT_NEAR(table.at(k, "test_rmse"), one.at("rmse").get<double>(), 1e-10);
        EXPECT_EQ(table.at(k, "test_accuracy"), one.at("accuracy").get<double>());
        if (table.at(k, "leave_one_out_rmse") < table.at(best, "leave_one_out_rmse")) best = k;
        if (k == 0) continue;
        EXPECT_LT(table.at(k, "degrees_of_freedom"), table.at(k - 1, "degrees_of_freedom"));
    }
    const auto chosen = results(folder, "path/run.json");
    EXPECT_EQ(chosen.at("chosen").at("ridge").get<double>(), table.at(best, "ridge"));
    EXPECT_EQ(chosen.at("leave_one_out_rmse").get<double>(), table.at(best, "leave_one_out_rmse"));
    EXPECT_EQ(chosen.at("rmse").get<double>(), table.at(best, "test_rmse"));
    EXPECT_EQ(read_npy(folder.path("path/predictions.npy")).values, slice(all, best));
    expect_done(folder, "predict --config path/run.json --out again");
    EXPECT_EQ(read_bytes(folder.path("again/ridges.csv")), read_bytes(folder.path("path/ridges.csv")));
}

TEST(PredictTimes, OneEigendecompositionGivesWhatEachTimeGives) {
    const TemporaryFolder folder;
    write_inputs(folder);
    const std::string common =
        "predict --data train_values.csv --test test_values.csv --kernel empirical-ntk --width 32 --initial-function ";
    expect_done(folder, common + "--time 0.1,10 --out path");
    const Array all = read_npy(folder.path("path/predictions_path.npy"));
    ASSERT_EQ(all.shape, (std::vector<Index>{2, 15, 1}));
    const Table table = read_table(folder.path("path/times.csv"));
    EXPECT_EQ(std::count(table.header.begin(), table.header.end(), "leave_one_out_rmse"), 0);
    for (std::size_t k = 0; k < 2; ++k) {
        expect_done(folder, fmt::format("{} --time {} --out one", common, table.at(k, "time")));
        EXPECT_EQ(read_npy(folder.path("one/predictions.npy")).values, slice(all, k));
    }
    EXPECT_LT(table.at(1, "train_rmse"), table.at(0, "train_rmse"));
    EXPECT_EQ(read_npy(folder.path("path/predictions.npy")).values, slice(all, 1));
    EXPECT_EQ(results(folder, "path/run.json").at("chosen").at("by"), "the longest time");
}

class KeptFit : public ::testing::TestWithParam<const char*> {};

TEST_P(KeptFit, PredictsTheSameBits) {
    const TemporaryFolder folder;
    write_inputs(folder);
    const std::string arguments = GetParam();
    const bool values = arguments.find("--outputs 1") != std::string::npos, posterior = arguments.find("--posterior") != std::string::npos;
    const std::string train = values ? "train_values.csv" : "train.csv", test = values ? "test_values.csv" : "test.csv";
    expect_done(folder, fmt::format("predict --data {} --test {} {} --save-fit fit.npz --out first", train, test, arguments));
    expect_done(folder, fmt::format("predict --fit fit.npz --test {} {} --out second", test, posterior ? "--posterior" : ""));
    for (const char* file : {"predictions.npy", "predict.csv", "variance.npy"})
        EXPECT_EQ(read_bytes(folder.path(std::string("first/") + file)), read_bytes(folder.path(std::string("second/") + file))) << file;
    EXPECT_EQ(std::filesystem::exists(folder.path("second/variance.npy")), posterior);
    EXPECT_EQ(results(folder, "first/run.json").at("rmse"), results(folder, "second/run.json").at("rmse"));
    expect_done(folder, "predict --config second/run.json --out third");
    EXPECT_EQ(read_bytes(folder.path("first/predictions.npy")), read_bytes(folder.path("third/predictions.npy")));
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, KeptFit,
    ::testing::Values("--ridge 1e-3", "--kernel nngp --posterior --ridge 0.01 --b-std 0.2", "--time 3 --normalize sphere --depth 2",
                      "--kernel ntk --param standard --width 20 --ridge 1e-2 --normalize unit",
                      "--kernel empirical-ntk --width 40 --b-std 0.3 --seed 5 --ridge 0.1 --outputs 1 --initial-function",
                      "--kernel empirical-ntk --width 40 --outputs 2 --block full --ridge 0.1 --initial-function",
                      "--kernel empirical-ntk --width 40 --param standard --b-std 0.1 --ridge 0.1 --method jacobian",
                      "--kernel empirical-nngp --width 100 --posterior --ridge 0.1 --activation erf",
                      "--kernel empirical-ntk --width 200 --ridge 0.1 --precision fast", "--ridge 0.1 --precision fp32",
                      "--kernel nngp --posterior --ridge 0.1 --precision fp32", "--ridge 1e-2,1,100 --outputs 1"));

TEST(PredictFit, HoldsGivenWeightsAndServesTestsWithoutTargets) {
    const TemporaryFolder folder;
    write_inputs(folder);
    const Weights weights = draw_weights({.inputs = 3, .hidden = {30}, .outputs = 1}, 9);
    write_npz(folder.path("w.npz"), {{"W1", weights.weights[0].view()}, {"W2", weights.weights[1].view()}});
    expect_done(folder,
                "predict --data train.csv --test test.csv --kernel empirical-ntk --weights w.npz --ridge 0.1 --save-fit f.npz --out a");
    const auto arrays = read_npz(folder.path("f.npz"));
    const auto w2 = std::find_if(arrays.begin(), arrays.end(), [](const auto& a) { return a.first == "W2"; });
    ASSERT_NE(w2, arrays.end());
    EXPECT_EQ(w2->second.values, std::vector<double>(weights.weights[1].data(), weights.weights[1].data() + weights.weights[1].size()));
    std::string bare;
    std::istringstream lines(read_bytes(folder.path("test.csv")));
    for (std::string line; std::getline(lines, line);) bare += line.substr(0, line.rfind(',')) + "\n";
    folder.file("bare.csv", bare);
    expect_done(folder, "predict --fit f.npz --test bare.csv --target none --out b");
    EXPECT_EQ(read_bytes(folder.path("a/predictions.npy")), read_bytes(folder.path("b/predictions.npy")));
    EXPECT_FALSE(results(folder, "b/run.json").contains("rmse"));
    EXPECT_THAT(read_bytes(folder.path("b/predict.csv")), HasSubstr("sample,predicted_class,score_down,score_up"));
}

/// The fit with some arrays replaced or left out, and its description changed.
struct ChangedFit {
    std::vector<std::pair<std::string, HostMatrix<double>>> arrays;
    nlohmann::ordered_json description;

    explicit ChangedFit(const std::string& path) {
        for (auto& [name, array] : read_npz(path)) {
            if (name != "fit") {
                arrays.emplace_back(name, array.as_matrix());
                continue;
            }
            std::string text;
            for (const double byte : array.values) text += static_cast<char>(static_cast<unsigned char>(byte));
            description = nlohmann::ordered_json::parse(text);
        }
    }
    HostMatrix<double>& array(const std::string& name) {
        const auto found = std::find_if(arrays.begin(), arrays.end(), [&](const auto& a) { return a.first == name; });
        return found == arrays.end() ? arrays.emplace_back(name, HostMatrix<double>()).second : found->second;
    }
    void leave_out(const std::string& name) {
        std::erase_if(arrays, [&](const auto& a) { return a.first == name; });
    }
    void write(const std::string& path) const {
        const std::string text = description.dump();
        std::vector<NpzMember> members{{"fit", std::string_view(text)}};
        for (const auto& [name, matrix] : arrays) members.push_back({name, matrix.view()});
        write_npz(path, members);
    }
};

TEST(PredictFit, RefusesMalformedFitsByName) {
    const TemporaryFolder folder;
    write_inputs(folder);
    expect_done(
        folder,
        "predict --data train.csv --test test.csv --kernel empirical-nngp --width 8 --ridge 0.1 --posterior --save-fit good.npz --out a");
    const auto refused = [&](const std::vector<std::string>& words, const std::function<void(ChangedFit&)>& change) {
        ChangedFit fit(folder.path("good.npz"));
        change(fit);
        fit.write(folder.path("bad.npz"));
        const Outcome outcome = run_program(folder, "predict --fit bad.npz --test test.csv --out b");
        EXPECT_EQ(outcome.code, 2) << outcome.err;
        EXPECT_THAT(outcome.err, HasSubstr("bad.npz"));
        for (const auto& word : words) EXPECT_THAT(outcome.err, HasSubstr(word));
        EXPECT_FALSE(std::filesystem::exists(folder.path("b/predictions.npy")));
    };
    refused({"'fit'", "version 2", "reads version 1"}, [](ChangedFit& f) { f.description["version"] = 2; });
    refused({"'fit'", "format"}, [](ChangedFit& f) { f.description.erase("format"); });
    refused({"'fit'", "kernel"}, [](ChangedFit& f) { f.description.erase("kernel"); });
    refused({"'fit'", "rbf"}, [](ChangedFit& f) { f.description["kernel"] = "rbf"; });
    refused({"'fit'", "number"}, [](ChangedFit& f) { f.description["network"]["w-std"] = "two"; });
    refused({"'fit'", "tanhh"}, [](ChangedFit& f) { f.description["network"]["activation"] = "tanhh"; });
    refused({"'fit'", "fp8"}, [](ChangedFit& f) { f.description["precision"] = "fp8"; });
    refused({"'fit'", "3 targets"}, [](ChangedFit& f) { f.description["targets"] = 3; });
    refused({"no array 'X'"}, [](ChangedFit& f) { f.leave_out("X"); });
    refused({"'X'", "(60, 2)", "(samples, 3)"}, [](ChangedFit& f) { f.array("X") = HostMatrix<double>(60, 2); });
    refused({"'X'", "not finite"}, [](ChangedFit& f) { f.array("X")(3, 1) = std::nan(""); });
    refused({"'coefficients'", "(59, 2)", "(60, 2)"}, [](ChangedFit& f) { f.array("coefficients") = HostMatrix<double>(59, 2); });
    refused({"'columns'"}, [](ChangedFit& f) { f.leave_out("columns"); });
    refused({"'W2'"}, [](ChangedFit& f) { f.array("W2") = HostMatrix<double>(8, 7); });
    refused({"no array 'W3'"}, [](ChangedFit& f) { f.leave_out("W3"); });
    refused({"'factor'", "(60, 60)"}, [](ChangedFit& f) { f.array("factor") = HostMatrix<double>(60, 59); });
    refused({"surplus", "'W4'"}, [](ChangedFit& f) { f.array("W4") = HostMatrix<double>(1, 1); });
    const std::string whole = read_bytes(folder.path("good.npz"));
    folder.file("short.npz", whole.substr(0, whole.size() / 2));
    const Outcome truncated = run_program(folder, "predict --fit short.npz --test test.csv --out b");
    EXPECT_EQ(truncated.code, 2);
    EXPECT_THAT(truncated.err, HasSubstr("short.npz"));
}

TEST(PredictKernelFiles, AreTheKernelsOfTheSamples) {
    const TemporaryFolder folder;
    write_inputs(folder);
    const std::string kernel = "kernel --kernel nngp --data train.csv ", from = "predict --train-kernel K.npy --test-kernel k.npy ";
    expect_done(folder, kernel + "--out K.npy");
    expect_done(folder, kernel + "--test test.csv --out k.npy");
    // The tests are standardized by the training samples: their own diagonal is that of the matrix of all.
    expect_done(folder, "predict --data train.csv --test test.csv --kernel nngp --ridge 0.1 --out direct");
    expect_done(folder, from + "--labels train_labels.csv --test-labels test_labels.csv --ridge 0.1 --out labels");
    expect_done(folder, from + "--data train.csv --test test.csv --ridge 0.1 --out data");
    expect_done(folder, from + "--labels train_labels.csv --ridge 0.1 --out bare");
    for (const char* out : {"labels", "data", "bare"})
        EXPECT_EQ(read_bytes(folder.path("direct/predictions.npy")), read_bytes(folder.path(std::string(out) + "/predictions.npy"))) << out;
    EXPECT_EQ(read_bytes(folder.path("direct/predict.csv")), read_bytes(folder.path("labels/predict.csv")));
    EXPECT_EQ(results(folder, "direct/run.json").at("accuracy"), results(folder, "data/run.json").at("accuracy"));
    expect_done(folder, "predict --config labels/run.json --out again");
    EXPECT_EQ(read_bytes(folder.path("direct/predict.csv")), read_bytes(folder.path("again/predict.csv")));

    expect_done(folder, "predict --data train.csv --test test.csv --kernel nngp --ridge 1e-2,1 --out direct_path");
    expect_done(folder, from + "--labels train_labels.csv --test-labels test_labels.csv --ridge 1e-2,1 --out path");
    EXPECT_EQ(read_bytes(folder.path("direct_path/ridges.csv")), read_bytes(folder.path("path/ridges.csv")));
    expect_done(folder, from + "--labels train_labels.csv --time 0.5 --out time");
    expect_done(folder, "predict --data train.csv --test test.csv --kernel nngp --time 0.5 --out direct_time");
    EXPECT_EQ(read_bytes(folder.path("direct_time/predictions.npy")), read_bytes(folder.path("time/predictions.npy")));

    // Without tests: leaving one out, also of a single ridge.
    expect_done(folder, "predict --train-kernel K.npy --labels train_labels.csv --ridge 1e-2 --out alone");
    const Table alone = read_table(folder.path("alone/ridges.csv")), path = read_table(folder.path("path/ridges.csv"));
    ASSERT_EQ(alone.rows.size(), 1U);
    EXPECT_EQ(alone.at(0, "leave_one_out_rmse"), path.at(0, "leave_one_out_rmse"));
    EXPECT_EQ(alone.at(0, "leave_one_out_accuracy"), path.at(0, "leave_one_out_accuracy"));
    EXPECT_EQ(std::count(alone.header.begin(), alone.header.end(), "test_rmse"), 0);
    EXPECT_FALSE(std::filesystem::exists(folder.path("alone/predictions.npy")));
}

TEST(PredictKernelFiles, PosteriorByHand) {
    const TemporaryFolder folder;
    write_npy(folder.path("K.npy"), HostMatrix<double>(2, 2, {2, 1, 1, 2}));
    write_npy(folder.path("k.npy"), HostMatrix<double>(1, 2, {1, 0}));
    const double prior = 3;
    write_npy(folder.path("d.npy"), {1}, &prior);
    folder.file("y.csv", "y\n1.5\n3\n");
    expect_done(folder, "predict --train-kernel K.npy --test-kernel k.npy --test-diagonal d.npy --posterior --labels y.csv --out P");
    // K^-1 = (2 -1; -1 2) / 3: the mean is (2 * 1.5 - 3) / 3, the variance 3 - 2/3.
    EXPECT_NEAR(read_npy(folder.path("P/predictions.npy")).values[0], 0, 1e-15);
    EXPECT_NEAR(read_npy(folder.path("P/variance.npy")).values[0], 7.0 / 3, 1e-14);
}

TEST(KernelSpectrumFiles, EigenvaluesVectorsAndAlignment) {
    const TemporaryFolder folder;
    write_inputs(folder);
    expect_done(folder, "kernel --kernel ntk --data train_values.csv --eigenvalues --eigenvectors 4 --out K.npy");
    const HostMatrix<double> k = read_npy(folder.path("K.npy")).as_matrix();
    const Array values = read_npy(folder.path("K.eigenvalues.npy"));
    const HostMatrix<double> vectors = read_npy(folder.path("K.eigenvectors.npy")).as_matrix();
    ASSERT_EQ(values.shape, std::vector<Index>{60});
    ASSERT_EQ(vectors.rows(), 4);
    EXPECT_TRUE(std::is_sorted(values.values.rbegin(), values.values.rend()));
    Dataset data = load_data({.source = folder.path("train_values.csv")});
    double squares = 0, form = 0, kernel_squares = 0, shares = 0;
    for (Index i = 0; i < 60; ++i) {
        squares += data.y(i, 0) * data.y(i, 0);
        for (Index j = 0; j < 60; ++j) {
            form += data.y(i, 0) * k(i, j) * data.y(j, 0);
            kernel_squares += k(i, j) * k(i, j);
        }
    }
    for (Index m = 0; m < 4; ++m) {
        double component = 0, largest = 0;
        for (Index i = 0; i < 60; ++i) {
            double image = 0;
            for (Index j = 0; j < 60; ++j) image += k(i, j) * vectors(m, j);
            EXPECT_NEAR(image, values.values[static_cast<std::size_t>(m)] * vectors(m, i), 1e-12 * values.values[0]);
            component += vectors(m, i) * data.y(i, 0);
            if (std::abs(vectors(m, i)) > std::abs(largest)) largest = vectors(m, i);
        }
        EXPECT_GT(largest, 0);
        shares += component * component / squares;
    }
    const auto record = results(folder, "K.run.json");
    EXPECT_NEAR(record.at("alignment").at("kernel_target").get<double>(), form / std::sqrt(kernel_squares) / squares, 1e-12);
    EXPECT_NEAR(record.at("alignment").at("cumulative").at(3).get<double>(), shares, 1e-12);
    EXPECT_EQ(record.at("lambda_max").get<double>(), values.values.front());
    expect_done(folder, "kernel --kernel ntk --data gaussian:n=12,d=3,seed=1 --eigenvalues --out G.npy");
    EXPECT_FALSE(results(folder, "G.run.json").contains("alignment"));
    EXPECT_FALSE(std::filesystem::exists(folder.path("G.eigenvectors.npy")));
    // One row for each output and sample: the outputs' targets one after another.
    expect_done(folder, "kernel --data train.csv --outputs 2 --block full --width 20 --eigenvalues --out F.npy");
    EXPECT_EQ(read_npy(folder.path("F.eigenvalues.npy")).shape, std::vector<Index>{120});
    EXPECT_TRUE(results(folder, "F.run.json").contains("alignment"));
}

struct Refusal {
    std::string arguments;
    int code;
    std::vector<std::string> words;
};

TEST(PredictCommand, RefusesWithItsOwnMessageAndCode) {
    const TemporaryFolder folder;
    write_inputs(folder);
    expect_done(folder, "predict --data train.csv --test test.csv --ridge 0.1 --save-fit fit.npz --out first");
    expect_done(folder, "kernel --kernel ntk --data train.csv --out K.npy");
    expect_done(folder, "kernel --kernel ntk --data train.csv --test test.csv --out k.npy");
    HostMatrix<double> crooked(2, 2, {2, 1, 0.5, 2}), infinite(2, 2, {2, 1, 1, std::nan("")}), one(2, 2, {1, 1, 1, 1});
    write_npy(folder.path("crooked.npy"), crooked);
    write_npy(folder.path("infinite.npy"), infinite);
    write_npy(folder.path("ones.npy"), one);
    folder.file("two.csv", "y\n1.5\n2.5\n");
    folder.file("wide.csv", "a,b,c,d,label\n1,2,3,4,up\n");
    const std::string files = "predict --train-kernel K.npy --labels train_labels.csv ", fit = "predict --fit fit.npz --test test.csv ";
    const std::vector<Refusal> refusals{
        {"predict --data train.csv --ridge -1 --out P", 2, {"--ridge", "'-1'", ">= 0"}},
        {"predict --data train.csv --ridge inf --out P", 2, {"--ridge", "finite"}},
        {"predict --data train.csv --ridge 1:10 --out P", 2, {"--ridge", "FIRST:LAST:log"}},
        {"predict --data train.csv --time 0,1 --out P", 2, {"--time", "> 0"}},
        {"predict --data train.csv --time 1,2 --ridge 1 --out P", 2, {"--time", "--ridge"}},
        {"predict --data train.csv --ridge 1,2 --posterior --kernel nngp --out P", 2, {"--posterior"}},
        {"predict --data train.csv --ridge 1,2 --kernel empirical-ntk --block full --outputs 2 --out P", 2, {"--block trace"}},
        {"predict --data train.csv --ridge 1 --save-fit fit.txt --out P", 2, {"--save-fit", ".npz"}},
        {"predict --data train.csv --ridge 1 --save-fit none/fit.npz --out P", 2, {"--save-fit", "none"}},
        {"predict --data train.csv --test-kernel k.npy --out P", 2, {"--test-kernel", "--train-kernel"}},
        {"predict --fit fit.npz --out P", 2, {"--test"}},
        {fit + "--depth 4 --out P", 2, {"--fit", "leave out --depth"}},
        {fit + "--data train.csv --out P", 2, {"--fit", "leave out --data"}},
        {fit + "--ridge 0.1 --out P", 2, {"--fit", "leave out --ridge"}},
        {fit + "--precision fp32 --out P", 2, {"--precision fp32", "fp64"}},
        {fit + "--posterior --out P", 2, {"--posterior", "fit.npz"}},
        {"predict --fit K.npy --test test.csv --out P", 2, {"K.npy"}},
        {"predict --fit fit.npz --test wide.csv --out P", 2, {"wide.csv", "4", "3"}},
        {files + "--kernel ntk --out P", 2, {"--train-kernel", "leave out --kernel"}},
        {files + "--save-fit f.npz --out P", 2, {"leave out --save-fit"}},
        {files + "--time 1 --out P", 2, {"--test-kernel"}},
        {files + "--test-labels test_labels.csv --out P", 2, {"--test-kernel"}},
        {files + "--test-kernel k.npy --posterior --out P", 2, {"--test-diagonal"}},
        {files + "--test-kernel K.npy --test-labels test_labels.csv --out P", 2, {"test_labels.csv"}},
        {files + "--test-kernel crooked.npy --out P", 2, {"crooked.npy", "2 x 2", "tests x 60"}},
        {files + "--precision fast --out P", 2, {"--precision fast"}},
        {"predict --train-kernel K.npy --out P", 2, {"--labels"}},
        {"predict --train-kernel k.npy --labels train_labels.csv --out P", 2, {"k.npy", "15 x 60", "square"}},
        {"predict --train-kernel crooked.npy --labels two.csv --out P", 2, {"crooked.npy", "not symmetric", "0.5"}},
        {"predict --train-kernel infinite.npy --labels two.csv --out P", 2, {"infinite.npy", "[1, 1]", "not finite"}},
        {"predict --train-kernel ones.npy --labels train_labels.csv --out P", 2, {"train_labels.csv", "2"}},
        {"predict --train-kernel ones.npy --data train.csv --out P", 2, {"--data", "60", "2 rows"}},
        {"predict --train-kernel ones.npy --labels two.csv --ridge 0,1 --out P", 3, {"try ridges from"}},
        {"kernel --data train.csv --test test.csv --eigenvalues --out E.npy", 2, {"--eigenvalues", "--test"}},
        {"kernel --data train.csv --block diag --eigenvalues --out E.npy", 2, {"--eigenvalues", "diag"}},
        {"kernel --data train.csv --eigenvectors 61 --out E.npy", 2, {"--eigenvectors 61", "60 rows"}},
        {"kernel --data train.csv --eigenvectors 0 --out E.npy", 2, {"--eigenvectors"}}};
    for (const Refusal& refusal : refusals) {
        SCOPED_TRACE(refusal.arguments);
        const Outcome outcome = run_program(folder, refusal.arguments);
        EXPECT_EQ(outcome.code, refusal.code) << outcome.out << outcome.err;
        for (const auto& word : refusal.words) EXPECT_THAT(outcome.err, HasSubstr(word));
        EXPECT_FALSE(std::filesystem::exists(folder.path("P/predictions.npy")));
        EXPECT_FALSE(std::filesystem::exists(folder.path("E.npy")));
    }
}

TEST(PredictFit, IsNotKeptWhereTheSolutionHasNoCoefficients) {
    const TemporaryFolder folder;
    const Outcome outcome = run_program(folder, "predict --samples 200 --w-std 1 --b-std 0.5 --depth 200 --save-fit f.npz --out P");
    EXPECT_EQ(outcome.code, 3);
    EXPECT_THAT(outcome.err, HasSubstr("--ridge"));
    EXPECT_FALSE(std::filesystem::exists(folder.path("f.npz")));
}

}  // namespace
