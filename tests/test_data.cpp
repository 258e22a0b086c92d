#include <ntkcuda/array_file.hpp>
#include <ntkcuda/data.hpp>
#include <ntkcuda/random.hpp>

#include "support/files.hpp"
#include "support/paths.hpp"
#include "support/tolerance.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

namespace ntk {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::TemporaryFolder;

std::vector<double> values(const HostMatrix<double>& m) { return {m.data(), m.data() + m.size()}; }

Dataset load(const std::string& source) {
    DataOptions options;
    options.source = source;
    return load_data(options);
}

struct Refusal {
    std::string content;
    std::vector<std::string> parts;
};

// --- the bundled digits -----------------------------------------------------------------------------------------------------------

TEST(Digits, AreAllThere) {
    const Dataset digits = load("digits");
    EXPECT_EQ(digits.samples(), 1797);
    EXPECT_EQ(digits.features(), 64);
    EXPECT_EQ(digits.y.cols(), 10);
    EXPECT_EQ(digits.default_normalization, Normalization::sphere);
    EXPECT_THAT(digits.classes, ElementsAre("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"));
    std::vector<int> count(10);
    for (const Index label : digits.label) ++count[static_cast<std::size_t>(label)];
    EXPECT_THAT(count, ElementsAre(178, 182, 177, 183, 181, 182, 181, 179, 174, 180));
    const std::vector<double> pixels = values(digits.x);
    EXPECT_EQ(std::accumulate(pixels.begin(), pixels.end(), 0.0), 561718);
    EXPECT_EQ(*std::max_element(pixels.begin(), pixels.end()), 16);
    EXPECT_EQ(*std::min_element(pixels.begin(), pixels.end()), 0);
    for (Index i = 0; i < digits.samples(); ++i)
        for (Index c = 0; c < 10; ++c) ASSERT_EQ(digits.y(i, c), (digits.label[static_cast<std::size_t>(i)] == c ? 1 : 0) + -1.0 / 10);
}

TEST(Digits, TheFirstSamplesKeepTheirClasses) {
    DataOptions options;
    options.samples = 3;
    const Dataset digits = load_data(options);
    EXPECT_EQ(digits.samples(), 3);
    EXPECT_THAT(digits.label, ElementsAre(0, 1, 2));
    EXPECT_EQ(digits.classes.size(), 10U);
    options.samples = 1798;
    expect_error(ErrorCode::invalid_argument, {"1798", "1797"}, [&] { (void)load_data(options); });
    options.samples = 0;
    expect_error(ErrorCode::invalid_argument, {"1 or more"}, [&] { (void)load_data(options); });
}

TEST(Digits, OptionsThatDoNotGoWithThem) {
    DataOptions options;
    options.target = "label";
    expect_error(ErrorCode::invalid_argument, {"digits", "--target"}, [&] { (void)load_data(options); });
    options.target.reset();
    options.labels = "labels.npy";
    expect_error(ErrorCode::invalid_argument, {"digits", "--labels"}, [&] { (void)load_data(options); });
}

TEST(BundledData, NamesWhereItLooked) {
    expect_error(ErrorCode::io, {"no_such_file.csv", paths::data, "share/ntkcuda", "NTKCUDA_DATA_DIR"},
                 [] { (void)bundled_data("no_such_file.csv"); });
    EXPECT_EQ(bundled_data("digits.csv").substr(bundled_data("digits.csv").size() - 10), "digits.csv");
    const TemporaryFolder folder;
    setenv("NTKCUDA_DATA_DIR", folder.path("").c_str(), 1);
    expect_error(ErrorCode::io, {folder.path("digits.csv")}, [] { (void)load("digits"); });
    const std::string chosen = folder.file("digits.csv", "a,label\n1,0\n");
    EXPECT_EQ(bundled_data("digits.csv"), chosen);
    unsetenv("NTKCUDA_DATA_DIR");
}

// --- synthetic sources ------------------------------------------------------------------------------------------------------------

TEST(Synthetic, GaussianIsTheStreamOfInputs) {
    const Dataset data = load("gaussian:n=5,d=3,seed=18446744073709551615");
    EXPECT_EQ(values(data.x), values(host_normals({std::numeric_limits<std::uint64_t>::max(), 0, data_stream}, 5, 3)));
    EXPECT_FALSE(data.has_targets());
    EXPECT_FALSE(data.classification());
    EXPECT_EQ(data.default_normalization, Normalization::sphere);
    EXPECT_EQ(data.source, "gaussian:n=5,d=3,seed=18446744073709551615");
}

TEST(Synthetic, SphereIsTheSameOnTheSphere) {
    const Dataset sphere = load("sphere:seed=4,d=7,n=9"), gaussian = load("gaussian:n=9,d=7,seed=4");
    for (Index i = 0; i < 9; ++i) {
        double square = 0;
        for (Index j = 0; j < 7; ++j) square += sphere.x(i, j) * sphere.x(i, j);
        EXPECT_NEAR(square, 7, 7 * testing::tolerance<double>(7));
        const double ratio = sphere.x(i, 0) / gaussian.x(i, 0);
        EXPECT_GT(ratio, 0);
        for (Index j = 1; j < 7; ++j) EXPECT_NEAR(sphere.x(i, j), ratio * gaussian.x(i, j), 7 * testing::tolerance<double>(1));
    }
}

TEST(Synthetic, RefusesWhatItDoesNotKnow) {
    const std::vector<Refusal> cases{
        {"sphere", {"no parameters"}},
        {"sphere:", {"''"}},
        {"sphere:n=2,d=3", {"'seed' is missing"}},
        {"gaussian:d=3,seed=1", {"'n' is missing"}},
        {"sphere:n=2,d=3,seed=1,n=4", {"'n' is given twice"}},
        {"sphere:n=2,d=3,seed=1,", {"''"}},
        {"sphere:n=2,d=3,speed=1", {"unknown key 'speed'"}},
        {"sphere:n=2,d,seed=1", {"'d'", "key=value"}},
        {"sphere:n=0,d=3,seed=1", {"n=0", "less than 1"}},
        {"sphere:n=2,d=-3,seed=1", {"d=-3", "less than 1"}},
        {"sphere:n=2,d=3,seed=-1", {"seed='-1'"}},
        {"sphere:n=2.5,d=3,seed=1", {"n='2.5'"}},
        {"sphere:n=,d=3,seed=1", {"n=''"}},
        {"sphere:n=99999999999999999999,d=3,seed=1", {"64 bits"}},
    };
    for (const auto& [source, parts] : cases) {
        auto all = parts;
        all.push_back(source);
        expect_error(ErrorCode::invalid_argument, all, [&, &text = source] { (void)load(text); });
    }
    DataOptions options;
    options.source = "sphere:n=2,d=3,seed=1";
    options.labels = "labels.npy";
    expect_error(ErrorCode::invalid_argument, {"sphere", "--labels", "no labels"}, [&] { (void)load_data(options); });
}

TEST(Synthetic, AbsurdSizesNameTheirBytes) {
    expect_error(ErrorCode::out_of_memory, {"8000000000000000 bytes"}, [] { (void)load("gaussian:n=1000000000,d=1000000,seed=1"); });
    expect_error(ErrorCode::out_of_memory, {"9000000000000000000 x 9000000000000000000"},
                 [] { (void)load("gaussian:n=9000000000000000000,d=9000000000000000000,seed=1"); });
}

// --- CSV --------------------------------------------------------------------------------------------------------------------------

class Csv : public ::testing::Test {
protected:
    Dataset read(const std::string& content, const DataOptions& given = {}) const {
        DataOptions options = given;
        options.source = folder.file("a.csv", content);
        return load_data(options);
    }
    void refuse(const std::string& content, std::vector<std::string> parts, const DataOptions& given = {},
                ErrorCode code = ErrorCode::io) const {
        SCOPED_TRACE(content.substr(0, 200));
        parts.push_back("a.csv");
        expect_error(code, parts, [&] { (void)read(content, given); });
    }
    static DataOptions target(const std::string& name) {
        DataOptions options;
        options.target = name;
        return options;
    }
    static DataOptions task(Task task) {
        DataOptions options;
        options.task = task;
        return options;
    }
    TemporaryFolder folder;
};

TEST_F(Csv, TheWayItIsWrittenDoesNotMatter) {
    for (const char* content : {
             "1,2.5,0\n-3,4e1,1\n",
             "1,2.5,0\r\n-3,4e1,1\r\n",
             "1,2.5,0\n-3,4e1,1",
             "a,b,label\n1,2.5,0\n-3,4e1,1\n",
             "\xef\xbb\xbf\"a\",b,label\n1,2.5,0\n-3,4e1,1\n",
             "\xef\xbb\xbf"
             "1,2.5,0\n-3,4e1,1\n",
             "1, 2.5 ,0\n\t-3,\"40\",1\n\n  \r\n\n",
             "+1.0,\"2.5\" ,\"0\"\n-3.0,40,1\n",
             "\"two\nlines, \"\"quoted\"\"\",b,label\n1,2.5,0\n-3,40,1\n",
             "0,1,label\n1,2.5,0\n-3,40,1\n",
         }) {
        SCOPED_TRACE(content);
        const Dataset data = read(content);
        EXPECT_THAT(values(data.x), ElementsAre(1, 2.5, -3, 40));
        EXPECT_EQ(data.features(), 2);
        EXPECT_THAT(data.classes, ElementsAre("0", "1"));
        EXPECT_THAT(values(data.y), ElementsAre(0.5, -0.5, -0.5, 0.5));
        EXPECT_EQ(data.default_normalization, Normalization::standardize);
    }
}

TEST_F(Csv, TextClassesWithAndWithoutHeader) {
    for (const std::string header : {"", "length,width,species\n"}) {
        const Dataset data = read(header + "1,2,setosa\n3,4,Virginica\n5,6, setosa\n7,8,\"a, b\"\n");
        EXPECT_EQ(data.samples(), 4);
        EXPECT_THAT(data.classes, ElementsAre("Virginica", "a, b", "setosa"));
        EXPECT_THAT(data.label, ElementsAre(2, 0, 2, 1));
    }
}

TEST_F(Csv, NumberClassesAreSortedByValue) {
    const Dataset data = read("1,10\n2,9\n3,-1\n4,10.0\n");
    EXPECT_THAT(data.classes, ElementsAre("-1", "9", "10"));
    EXPECT_THAT(data.label, ElementsAre(2, 1, 0, 2));
    EXPECT_THAT(read("1,10\n2,9\n3,x\n").classes, ElementsAre("10", "9", "x")) << "text among them: sorted by bytes";
}

TEST_F(Csv, TheTargetByNameByNumberOrNone) {
    const std::string content = "y,a,b\n0,1,2\n1,3,4\n";
    EXPECT_THAT(values(read(content, target("y")).x), ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(values(read(content, target("1")).x), ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(values(read(content, target("a")).x), ElementsAre(0, 2, 1, 4));
    EXPECT_THAT(values(read(content).x), ElementsAre(0, 1, 1, 3));
    const Dataset all = read(content, target("none"));
    EXPECT_THAT(values(all.x), ElementsAre(0, 1, 2, 1, 3, 4));
    EXPECT_FALSE(all.has_targets());
    EXPECT_THAT(values(read("1\n2\n", target("none")).x), ElementsAre(1, 2));
    EXPECT_THAT(values(read("y,1990,2000\n0,1,2\n1,3,4\n", target("y")).x), ElementsAre(1, 2, 3, 4)) << "a name makes the line a header";
    refuse(content, {"no column 'z'", "1 to 3", "y, a, b"}, target("z"), ErrorCode::invalid_argument);
    refuse(content, {"no column '0'", "1 to 3"}, target("0"), ErrorCode::invalid_argument);
    refuse(content, {"no column '4'", "1 to 3"}, target("4"), ErrorCode::invalid_argument);
    refuse("y,y,b\n0,1,2\n", {"more than one column 'y'"}, target("y"), ErrorCode::invalid_argument);
    refuse("1\n2\n", {"a.csv:1", "one column only"});
    refuse("a;b;y\n1;2;0\n", {"semicolons"});
}

TEST_F(Csv, RegressionOrClassification) {
    EXPECT_FALSE(read("1,0.5\n2,1\n").classification());
    EXPECT_THAT(values(read("1,0.5\n2,1\n").y), ElementsAre(0.5, 1));
    EXPECT_FALSE(read("1,0\n2,1\n", task(Task::regression)).classification());
    EXPECT_THAT(read("1,0.5\n2,1\n", task(Task::classification)).classes, ElementsAre("0.5", "1"));
    std::string twenty, twenty_one;
    for (int i = 0; i < 21; ++i) (i < 20 ? twenty : twenty_one) += std::to_string(i) + "," + std::to_string(i * i) + "\n";
    EXPECT_EQ(read(twenty).classes.size(), 20U);
    EXPECT_FALSE(read(twenty + twenty_one).classification());
    DataOptions first = task(Task::automatic);
    first.samples = 2;
    EXPECT_FALSE(read(twenty + twenty_one, first).classification()) << "all labels decide, not the first N";
    const Dataset one = read("1,7\n2,7\n");
    EXPECT_THAT(one.classes, ElementsAre("7"));
    EXPECT_THAT(values(one.y), ElementsAre(0, 0));
    refuse("1,0\n2,cat\n", {"a.csv:2", "column 2", "'cat'", "regression"}, task(Task::regression));
    refuse("1,0.5\n2,0.25\n3,n/a\n", {"a.csv:3", "column 2", "'n/a'", "where a number was expected"});
}

TEST_F(Csv, ATestSetIsEncodedLikeItsTrainingSet) {
    DataOptions options;
    options.classes = {"0", "1", "2"};
    const Dataset test = read("1,2\n2,0\n", options);
    EXPECT_THAT(test.label, ElementsAre(2, 0));
    EXPECT_EQ(test.classes, options.classes);
    EXPECT_EQ(test.y.cols(), 3);
    EXPECT_THAT(read("1,2.0\n2,0\n", options).label, ElementsAre(2, 0));
    refuse("1,2\n2,3\n", {"a.csv:2", "column 2", "'3'", "3 classes", "0, 1, 2"}, options);
    options.classes = {"01", "1", "a"};
    EXPECT_THAT(read("1,01\n2,1\n", options).label, ElementsAre(0, 1)) << "by their text, where numbers are text";
    options.task = Task::regression;
    refuse("1,2\n2,3\n", {"classes are given"}, options, ErrorCode::invalid_argument);
}

TEST_F(Csv, RefusalsNameLineAndColumn) {
    const std::vector<Refusal> cases{
        {"", {"empty"}},
        {"\n \n", {"no samples", "blank"}},
        {"\xef\xbb\xbf", {"no samples"}},
        {"a,b,c\n", {"no samples", "header"}},
        {"1,2,0\n1,2\n", {"a.csv:2", "has 2 columns", "line 1 has 3"}},
        {"1,2,0\n1,2,3,4,5\n", {"a.csv:2", "has 5 columns", "line 1 has 3"}},
        {"a,b,c\n1,2,0\n1,2,3,\n", {"a.csv:3", "has 4 columns", "line 1 has 3"}},
        {"1,2,0\n\n1,2,0\n", {"a.csv:2", "blank"}},
        {"a,b,c\n1,2,0\n1,red,0\n", {"a.csv:3", "column 2 ('b')", "'red'", "number was expected"}},
        {"a,b,c\nred,2,0\n", {"a.csv:2", "column 1 ('a')", "'red'"}},
        {"1,red,0\n1,2,0\n", {"a.csv:1", "column 2", "'red'", "no header either", "column 1"}},
        {"1,2,0\n1,,0\n", {"a.csv:2", "column 2", "empty field"}},
        {"1,,0\n1,2,0\n", {"a.csv:1", "column 2", "empty field"}},
        {"1,2,0\n1,2,\n", {"a.csv:2", "column 3", "empty field", "label"}},
        {"1,2,0\nnan,2,0\n", {"a.csv:2", "column 1", "'nan'", "NaN or Inf"}},
        {"nan,2,0\n", {"a.csv:1", "column 1", "'nan'", "NaN or Inf"}},
        {"1,2,0\n1,-inf,0\n", {"a.csv:2", "column 2", "'-inf'", "NaN or Inf"}},
        {"1,2,0\n1,2,NaN\n", {"a.csv:2", "column 3", "'NaN'", "NaN or Inf"}},
        {"1,2,0\n1e999,2,0\n", {"a.csv:2", "column 1", "'1e999'", "range of float64"}},
        {"1,2,0\n0x10,2,0\n", {"a.csv:2", "column 1", "'0x10'"}},
        {"1,2,0\n1 2,2,0\n", {"a.csv:2", "column 1", "'1 2'"}},
        {"1,2,0\n+-1,2,0\n", {"a.csv:2", "column 1", "'+-1'"}},
        {"1,2,0\n\"1,2,0\n3,4,0\n", {"a.csv:2", "not closed"}},
        {"1,2,0\n\"1\"2,2,0\n", {"a.csv:2", "closing quote"}},
        {"\"two\nlines\",b,c\n1,2,0\n1,x,0\n", {"a.csv:4", "column 2", "'x'"}},
        {std::string("1,2,0\n1,\0,0\n", 12), {"a.csv:2", "byte 8 is 0"}},
        {"\xff\xfe"
         "1,2",
         {"UTF-16"}},
        {"1,2,0\n1,\x01\x02,0\n", {"a.csv:2", "'\\x01\\x02'"}},
        {"1,2,0\n1," + std::string(1000, 'x') + ",0\n", {std::string(40, 'x') + "...'"}},
    };
    for (const auto& [content, parts] : cases) refuse(content, parts);
    DataOptions options;
    options.source = folder.file("a.csv", "1,0\n");
    options.labels = "labels.csv";
    expect_error(ErrorCode::invalid_argument, {"--labels", "--target"}, [&] { (void)load_data(options); });
}

TEST_F(Csv, NumbersAreReadToTheLastBit) {
    const Dataset data = read("0.1,1e-320,1.7976931348623157e308,-0.0,9007199254740993,0\n");
    EXPECT_EQ(data.x(0, 0), 0.1);
    EXPECT_EQ(data.x(0, 1), 1e-320);
    EXPECT_EQ(data.x(0, 2), std::numeric_limits<double>::max());
    EXPECT_TRUE(std::signbit(data.x(0, 3)));
    EXPECT_EQ(data.x(0, 4), 9007199254740992.0);
}

TEST_F(Csv, ALongFirstLinePromisesNothing) {
    std::string content = "0";
    for (int i = 0; i < 100000; ++i) content += ",0";
    refuse(content + std::string(100000, '\n') + "0\n", {"blank"});
}

// --- .npy and .npz ----------------------------------------------------------------------------------------------------------------

const std::string golden = std::string(paths::golden) + "/arrays/";

TEST(NumPySource, AnArrayIsItsSamples) {
    const Dataset data = load(golden + "float64.npy");
    EXPECT_EQ(data.samples(), 3);
    EXPECT_EQ(data.features(), 4);
    EXPECT_FALSE(data.has_targets());
    EXPECT_EQ(data.default_normalization, Normalization::none);
    const Dataset flattened = load(golden + "fortran_4d.npy");
    EXPECT_EQ(flattened.samples(), 2);
    EXPECT_EQ(flattened.features(), 60);
    EXPECT_EQ(flattened.x(1, 59), 119);
}

TEST(NumPySource, XAndYOfAnArchive) {
    DataOptions options;
    options.source = golden + "x_and_y.npz";
    const Dataset data = load_data(options);
    EXPECT_EQ(data.features(), 4);
    EXPECT_THAT(data.classes, ElementsAre("2", "7"));
    EXPECT_THAT(data.label, ElementsAre(0, 1, 0));
    options.task = Task::regression;
    EXPECT_THAT(values(load_data(options).y), ElementsAre(2, 7, 2));
    options.samples = 2;
    EXPECT_THAT(values(load_data(options).y), ElementsAre(2, 7));
    expect_error(ErrorCode::io, {"weights.npz", "W1, W2, b1, b2", "X (and y)"}, [] { (void)load(golden + "weights.npz"); });
}

class Arrays : public ::testing::Test {
protected:
    std::string array(const std::string& name, const std::vector<Index>& shape, const std::vector<double>& content) const {
        write_npy(folder.path(name), shape, content.data());
        return folder.path(name);
    }
    Dataset with_labels(const std::string& labels, Task task = Task::automatic) const {
        DataOptions options;
        options.source = array("x.npy", {3, 2}, {1, 2, 3, 4, 5, 6});
        options.labels = labels;
        options.task = task;
        return load_data(options);
    }
    TemporaryFolder folder;
};

TEST_F(Arrays, RefusesWhatAreNoSamples) {
    const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
    expect_error(ErrorCode::io, {"a.npy", "(3,)", "samples x features"}, [&] { (void)load(array("a.npy", {3}, {1, 2, 3})); });
    expect_error(ErrorCode::io, {"(0, 3)", "no samples"}, [] { (void)load(golden + "no_samples.npy"); });
    expect_error(ErrorCode::io, {"a.npy", "NaN at [1, 0]"}, [&] { (void)load(array("a.npy", {2, 2}, {1, 2, nan, inf})); });
    expect_error(ErrorCode::io, {"a.npy", "Inf at [1, 0, 1]"}, [&] { (void)load(array("a.npy", {2, 1, 2}, {1, 2, 3, -inf})); });
    expect_error(ErrorCode::io, {"refused_complex.npy", "complex"}, [] { (void)load(golden + "refused_complex.npy"); });
    DataOptions options;
    options.source = array("a.npy", {1, 1}, {1});
    options.target = "2";
    expect_error(ErrorCode::invalid_argument, {"--target", "CSV"}, [&] { (void)load_data(options); });
}

TEST_F(Arrays, FloatLabelsAreRegressionUnlessSaid) {
    const Dataset regression = with_labels(array("y.npy", {3}, {1, 0, 1}));
    EXPECT_FALSE(regression.classification());
    EXPECT_THAT(values(regression.y), ElementsAre(1, 0, 1));
    EXPECT_THAT(with_labels(folder.path("y.npy"), Task::classification).label, ElementsAre(1, 0, 1));
    EXPECT_THAT(values(with_labels(array("y.npy", {3, 1}, {1, 0, 1})).y), ElementsAre(1, 0, 1));
    const Dataset several = with_labels(array("y.npy", {3, 2}, {1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(several.y.cols(), 2);
    EXPECT_EQ(several.y(2, 0), 5);
    expect_error(ErrorCode::invalid_argument, {"y.npy", "2 columns"},
                 [&] { (void)with_labels(folder.path("y.npy"), Task::classification); });
}

TEST_F(Arrays, RefusesLabelsThatDoNotFit) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    expect_error(ErrorCode::io, {"y.npy", "(2,)", "3 samples"}, [&] { (void)with_labels(array("y.npy", {2}, {1, 2})); });
    expect_error(ErrorCode::io, {"y.npy", "(3, 0)"}, [&] { (void)with_labels(array("y.npy", {3, 0}, {})); });
    expect_error(ErrorCode::io, {"y.npy", "NaN at [1]"}, [&] { (void)with_labels(array("y.npy", {3}, {1, nan, 3})); });
    expect_error(ErrorCode::io, {"y.npz", "labels are read from"}, [&] { (void)with_labels(folder.file("y.npz", "PK")); });
    expect_error(ErrorCode::io, {"y.txt", "'.txt'", "labels are read from"}, [&] { (void)with_labels(folder.file("y.txt", "1\n")); });
    expect_error(ErrorCode::io, {"none.npy", "No such file", "labels are read from"}, [&] { (void)with_labels(folder.path("none.npy")); });
}

TEST_F(Arrays, LabelsOfOneCsvColumn) {
    for (const char* content : {"cat\ndog\ncat\n", "label\ncat\ndog\ncat", "\"cat\"\r\ndog\r\ncat\r\n\r\n"}) {
        SCOPED_TRACE(content);
        const Dataset data = with_labels(folder.file("y.csv", content));
        EXPECT_THAT(data.classes, ElementsAre("cat", "dog"));
        EXPECT_THAT(data.label, ElementsAre(0, 1, 0));
    }
    EXPECT_THAT(with_labels(folder.file("y.csv", "label\n7\n5\n7\n")).label, ElementsAre(1, 0, 1));
    expect_error(ErrorCode::io, {"y.csv", "4 labels", "3 samples"}, [&] { (void)with_labels(folder.file("y.csv", "1\n7\n5\n7\n")); });
    expect_error(ErrorCode::io, {"y.csv", "2 labels", "3 samples"}, [&] { (void)with_labels(folder.file("y.csv", "a\nb\n")); });
    expect_error(ErrorCode::io, {"y.csv:1", "2 columns"}, [&] { (void)with_labels(folder.file("y.csv", "a,b\n1,2\n")); });
    expect_error(ErrorCode::io, {"y.csv:2", "has 2 columns"}, [&] { (void)with_labels(folder.file("y.csv", "a\n1,2\n")); });
}

// --- IDX --------------------------------------------------------------------------------------------------------------------------

std::string idx(char type, const std::vector<std::uint32_t>& shape, const std::string& content) {
    std::string bytes{'\0', '\0', type, static_cast<char>(shape.size())};
    for (const std::uint32_t size : shape)
        for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift);
    return bytes + content;
}

/// The big-endian bytes of 2, then 3, in each type.
const std::vector<std::pair<char, std::string>> two_three{
    {'\x08', "\x02\x03"},
    {'\x09', "\x02\x03"},
    {'\x0b', std::string("\0\x02\0\x03", 4)},
    {'\x0c', std::string("\0\0\0\x02\0\0\0\x03", 8)},
    {'\x0d', std::string("\x40\0\0\0\x40\x40\0\0", 8)},
    {'\x0e', std::string("\x40\0\0\0\0\0\0\0\x40\x08\0\0\0\0\0\0", 16)},
};

TEST(Idx, EveryTypeGzippedOrNotWhateverTheName) {
    const TemporaryFolder folder;
    for (const auto& [type, content] : two_three) {
        const std::string bytes = idx(type, {2, 1, 1}, content);
        for (const std::string& path :
             {folder.file("train-images-idx3-ubyte", bytes), folder.file("a.idx.gz", testing::gzipped(bytes)), folder.file("a.csv", bytes),
              folder.file("b.csv", testing::gzipped(bytes.substr(0, 5)) + testing::gzipped(bytes.substr(5)))}) {
            const Dataset data = load(path);
            EXPECT_EQ(data.samples(), 2);
            EXPECT_EQ(data.features(), 1);
            EXPECT_THAT(values(data.x), ElementsAre(2, 3)) << path << " type " << static_cast<int>(type);
            EXPECT_EQ(data.default_normalization, Normalization::sphere);
        }
    }
}

TEST(Idx, ImagesWithLabels) {
    const TemporaryFolder folder;
    DataOptions options;
    options.source = folder.file(
        "images", testing::gzipped(idx('\x08', {3, 2, 2}, std::string("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\xfe\xff", 12))));
    options.labels = folder.file("labels", testing::gzipped(idx('\x08', {3}, "\x07\x05\x07")));
    const Dataset data = load_data(options);
    EXPECT_EQ(data.features(), 4);
    EXPECT_EQ(data.x(2, 3), 255);
    EXPECT_THAT(data.classes, ElementsAre("5", "7"));
    EXPECT_THAT(data.label, ElementsAre(1, 0, 1));
    expect_error(ErrorCode::io, {"labels", "(3,)", "fewer than two axes"}, [&] { (void)load(options.labels); });
    options.classes = {"5", "6"};
    expect_error(ErrorCode::io, {"labels", "label 0", "'7'", "5, 6"}, [&] { (void)load_data(options); });
}

TEST(Idx, RefusesDamagedFiles) {
    const TemporaryFolder folder;
    const std::string good = idx('\x08', {2, 3}, "abcdef");
    const std::vector<Refusal> cases{
        {good.substr(0, 3), {"truncated"}},
        {good.substr(0, 10), {"truncated", "axis 1 of 2"}},
        {good.substr(0, good.size() - 1), {"truncated", "(2, 3)", "6 bytes", "5 bytes follow"}},
        {good + "x", {"surplus", "6 bytes", "7 bytes follow"}},
        {idx('\x0a', {2}, "ab"), {"00 00 0a 01"}},
        {idx('\x08', {}, ""), {"00 00 08 00", "axes"}},
        {idx('\x0e', {0xffffffff, 0xffffffff, 0xffffffff}, "abcdef"), {"more than a file can hold"}},
        {idx('\x08', {0xffffffff, 1}, "abcdef"), {"truncated", "4294967295 bytes", "6 bytes follow"}},
        {idx('\x08', {0, 3}, ""), {"(0, 3)", "no samples"}},
        {testing::gzipped(good.substr(0, good.size() - 1)), {"truncated"}},
        {testing::gzipped(good + "x"), {"goes on"}},
        {testing::gzipped(good) + "surplus", {"damaged"}},
        {testing::gzipped(idx('\x08', {0xffffffff, 1}, "abcdef")), {"truncated", "4294967295 bytes", "at most"}},
        {testing::gzipped("a,b\n1,2\n"), {"is not IDX"}},
    };
    for (const auto& [content, parts] : cases) {
        auto all = parts;
        all.push_back("bad");
        expect_error(ErrorCode::io, all, [&, &bytes = content] { (void)load(folder.file("bad", bytes)); });
    }
    const std::string compressed = testing::gzipped(good);
    for (std::size_t size = 1; size < compressed.size(); ++size)
        expect_error(ErrorCode::io, {"cut"}, [&] { (void)load(folder.file("cut", compressed.substr(0, size))); });
    std::string flipped = compressed;
    flipped[flipped.size() - 6] ^= 1;  // of the checksum
    expect_error(ErrorCode::io, {"flipped", "damaged", "check"}, [&] { (void)load(folder.file("flipped", flipped)); });
}

// --- sources that are none --------------------------------------------------------------------------------------------------------

TEST(Source, RefusalsSayWhatIsAccepted) {
    const TemporaryFolder folder;
    expect_error(ErrorCode::io, {"none.csv", "No such file", "sphere:", ".npz", "IDX"}, [&] { (void)load(folder.path("none.csv")); });
    expect_error(ErrorCode::io, {"directory"}, [&] { (void)load(folder.path("")); });
    expect_error(ErrorCode::io, {"empty.csv", "empty"}, [&] { (void)load(folder.file("empty.csv", "")); });
    expect_error(ErrorCode::io, {"a.xlsx", "'.xlsx'", ".csv, .npy, .npz"}, [&] { (void)load(folder.file("a.xlsx", "text")); });
    expect_error(ErrorCode::io, {"/dev/null", "regular file"}, [&] { (void)load("/dev/null"); });
    EXPECT_EQ(load(folder.file("a.CSV", "1,2,0\n")).features(), 2);
}

// --- normalisation ----------------------------------------------------------------------------------------------------------------

Dataset dataset(Index rows, Index columns, const std::vector<double>& content) {
    Dataset data;
    data.source = "made";
    data.x = {rows, columns, content};
    return data;
}

TEST(Normalize, SphereAndUnit) {
    Dataset train = dataset(2, 4, {1, 1, 1, 1, 0, -5, 0, 0}), test = dataset(1, 4, {3, 0, 4, 0});
    normalize(Normalization::sphere, train, &test);
    EXPECT_THAT(values(train.x), ElementsAre(1, 1, 1, 1, 0, -2, 0, 0));
    EXPECT_THAT(values(test.x), ElementsAre(::testing::DoubleEq(1.2), 0, ::testing::DoubleEq(1.6), 0));
    normalize(Normalization::unit, train);
    EXPECT_THAT(values(train.x), ElementsAre(0.5, 0.5, 0.5, 0.5, 0, -1, 0, 0));
    Dataset extreme = dataset(2, 2, {3e300, 4e300, 3e-310, 4e-310});
    normalize(Normalization::unit, extreme);
    EXPECT_DOUBLE_EQ(extreme.x(0, 0), 0.6);
    EXPECT_NEAR(extreme.x(1, 1), 0.8, 1e-12) << "4e-310 has 46 bits";
    Dataset zero = dataset(2, 2, {1, 2, 0, 0});
    expect_error(ErrorCode::invalid_argument, {"made", "sample 2", "zero"}, [&] { normalize(Normalization::sphere, zero); });
}

TEST(Normalize, StandardizeByTheTrainingSamples) {
    Dataset train = dataset(4, 3, {1, 7, 1e300, 2, 7, 2e300, 3, 7, 3e300, 4, 7, 4e300}), test = dataset(1, 3, {5, 8, 5e300});
    normalize(Normalization::standardize, train, &test);
    const double deviation = std::sqrt(1.25);
    for (Index i = 0; i < 4; ++i) {
        EXPECT_DOUBLE_EQ(train.x(i, 0), (static_cast<double>(i) - 1.5) / deviation);
        EXPECT_EQ(train.x(i, 1), 0);
        EXPECT_NEAR(train.x(i, 2), (static_cast<double>(i) - 1.5) / deviation, 4 * testing::tolerance<double>(4));
    }
    EXPECT_DOUBLE_EQ(test.x(0, 0), 2.5 / deviation);
    EXPECT_EQ(test.x(0, 1), 0) << "constant in training: 0 wherever it is applied";
    EXPECT_NEAR(test.x(0, 2), 2.5 / deviation, 4 * testing::tolerance<double>(4));
}

TEST(Normalize, StandardizeFarFromZero) {
    // Deviations of one unit in the last place of the mean: E[x^2] - E[x]^2 would be all rounding.
    const double base = 1e8, step = 0x1p-26;
    Dataset train = dataset(1000, 1, std::vector<double>(1000, base));
    train.x(137, 0) = base + step;
    normalize(Normalization::standardize, train);
    EXPECT_NEAR(train.x(137, 0), std::sqrt(999.0), 1e-6 * std::sqrt(999.0));
    EXPECT_NEAR(train.x(0, 0), -1 / std::sqrt(999.0), 1e-6);
}

TEST(Normalize, ANormalizerServesLaterSamples) {
    for (const auto normalization : {Normalization::sphere, Normalization::unit, Normalization::standardize, Normalization::none}) {
        Dataset train = load_data({.source = "gaussian:n=20,d=3,seed=1"}), test = load_data({.source = "gaussian:n=5,d=3,seed=2"}),
                later = test;
        for (Index i = 0; i < 20; ++i) train.x(i, 1) = 7;  // a constant column
        const Normalizer normalizer = make_normalizer(normalization, train);
        EXPECT_EQ(normalizer.columns.empty(), normalization != Normalization::standardize);
        normalize(normalization, train, &test);
        normalizer.apply(later);
        for (Index e = 0; e < test.x.size(); ++e) EXPECT_EQ(later.x.data()[e], test.x.data()[e]);
        Dataset other = load_data({.source = "gaussian:n=5,d=4,seed=2"});
        expect_error(ErrorCode::shape_mismatch, {"4 features", "3"}, [&] { normalizer.apply(other); });
    }
}

TEST(LoadTargets, LabelsAlone) {
    const TemporaryFolder folder;
    DataOptions options;
    options.labels = folder.file("labels.csv", "label\nb\na\nb\n");
    const Dataset train = load_targets(options, 3);
    EXPECT_EQ(train.classes, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(train.label, (std::vector<Index>{1, 0, 1}));
    EXPECT_EQ(train.y.rows(), 3);
    EXPECT_EQ(train.samples(), 3);
    EXPECT_EQ(train.features(), 0);
    EXPECT_THROW((void)load_targets(options, 5), Error);
    options.labels = folder.file("values.csv", "value\n0.5\n1.25\n");
    const Dataset values = load_targets(options, 2);
    EXPECT_FALSE(values.classification());
    EXPECT_EQ(values.y(1, 0), 1.25);
}

TEST(Normalize, NoneAndNames) {
    Dataset train = dataset(1, 2, {0, 5});
    normalize(Normalization::none, train);
    EXPECT_THAT(values(train.x), ElementsAre(0, 5));
    Dataset test = dataset(1, 3, {1, 2, 3});
    expect_error(ErrorCode::shape_mismatch, {"2 features", "3"}, [&] { normalize(Normalization::none, train, &test); });
    for (const char* name : {"sphere", "unit", "standardize", "none"}) EXPECT_EQ(to_string(parse_normalization(name)), name);
    expect_error(ErrorCode::invalid_argument, {"'cube'", "standardize"}, [] { (void)parse_normalization("cube"); });
}

// --- splits -----------------------------------------------------------------------------------------------------------------------

TEST(Split, EverySampleOnceOnEitherSide) {
    const Dataset digits = load("digits");
    const auto [train, test] = split(digits, 0.8, 1);
    EXPECT_EQ(train.samples(), 1438);
    EXPECT_EQ(test.samples(), 359);
    EXPECT_EQ(train.classes, digits.classes);
    EXPECT_EQ(train.default_normalization, Normalization::sphere);
    std::multiset<std::vector<double>> all, parts;
    const auto collect = [](const Dataset& data, std::multiset<std::vector<double>>& rows) {
        for (Index i = 0; i < data.samples(); ++i) {
            std::vector<double> row(data.x.data() + i * data.features(), data.x.data() + (i + 1) * data.features());
            row.push_back(static_cast<double>(data.label[static_cast<std::size_t>(i)]));
            row.push_back(data.y(i, data.label[static_cast<std::size_t>(i)]));
            rows.insert(std::move(row));
        }
    };
    collect(digits, all);
    collect(train, parts);
    collect(test, parts);
    EXPECT_EQ(all, parts);
}

std::vector<double> split_order(Index n, std::uint64_t seed) {
    Dataset data;
    data.x = HostMatrix<double>(n, 1);
    for (Index i = 0; i < n; ++i) data.x(i, 0) = static_cast<double>(i);
    const auto [train, test] = split(data, 0.5, seed);
    std::vector<double> order = values(train.x), rest = values(test.x);
    order.insert(order.end(), rest.begin(), rest.end());
    return order;
}

TEST(Split, IsAFunctionOfSeedAndSizeAlone) {
    EXPECT_EQ(split_order(100, 1), split_order(100, 1));
    EXPECT_NE(split_order(100, 1), split_order(100, 2));
    EXPECT_NE(split_order(100, 1), split_order(100, std::uint64_t{1} << 32 | 1)) << "all 64 bits of the seed count";
    EXPECT_THAT(split_order(10, 1), ElementsAre(0, 2, 5, 1, 6, 4, 7, 9, 8, 3)) << "from golden/make_split.py";
}

TEST(Split, EveryOrderIsAsLikely) {
    // Orders of 4 over 12000 seeds: chi-square with 23 degrees of freedom, mean 23 and variance 46; five deviations.
    std::map<std::vector<double>, int> count;
    constexpr int seeds = 12000;
    for (int seed = 0; seed < seeds; ++seed) ++count[split_order(4, static_cast<std::uint64_t>(seed))];
    ASSERT_EQ(count.size(), 24U);
    double chi_square = 0;
    for (const auto& [order, times] : count) chi_square += std::pow(times - seeds / 24.0, 2) / (seeds / 24.0);
    EXPECT_LT(std::abs(chi_square - 23), 5 * std::sqrt(46.0));
}

TEST(Split, RefusesEmptySides) {
    const Dataset data = dataset(4, 1, {1, 2, 3, 4});
    for (const double fraction : {0.0, 1.0, -0.5, 1.5, std::numeric_limits<double>::quiet_NaN()})
        expect_error(ErrorCode::invalid_argument, {"between 0 and 1"}, [&] { (void)split(data, fraction, 1); });
    expect_error(ErrorCode::invalid_argument, {"0 of 4", "4 for testing"}, [&] { (void)split(data, 0.1, 1); });
    expect_error(ErrorCode::invalid_argument, {"4 of 4", "0 for testing"}, [&] { (void)split(data, 0.9, 1); });
}

TEST(Select, RowsInTheOrderGiven) {
    DataOptions options;
    options.samples = 5;
    const Dataset data = load_data(options), chosen = select(data, {4, 0, 4});
    EXPECT_THAT(chosen.label, ElementsAre(4, 0, 4));
    EXPECT_EQ(chosen.y(0, 4), data.y(4, 4));
    EXPECT_EQ(chosen.x(1, 2), data.x(0, 2));
    expect_error(ErrorCode::invalid_argument, {"row 5", "0 .. 4"}, [&] { (void)select(data, {5}); });
    expect_error(ErrorCode::invalid_argument, {"row -1"}, [&] { (void)select(data, {-1}); });
}

}  // namespace
}  // namespace ntk
