#include <ntkcuda/array_file.hpp>

#include "support/files.hpp"
#include "support/paths.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include <cmath>
#include <filesystem>
#include <limits>

namespace ntk {
namespace {

using testing::expect_error;
using testing::read_bytes;
using testing::TemporaryFolder;

const std::string golden = std::string(paths::golden) + "/arrays/";  // made by golden/make_arrays.py

/// A version 1.0 file with this dictionary and these bytes after it.
std::string npy(const std::string& dictionary, const std::string& values) {
    std::string header = dictionary + "\n";
    return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size() & 255) + static_cast<char>(header.size() >> 8) + header +
           values;
}

std::string npy_of(const std::string& descr, const std::string& shape, const std::string& values) {
    return npy("{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + "}", values);
}

/// What make_arrays.py stores in a type: 4 i + j, minus 5 when signed, halved when floating.
double expected_value(char kind, Index e) {
    const double shifted = static_cast<double>(kind == 'u' || kind == 'b' ? e : e - 5);
    return kind == 'f' ? shifted / 2 : kind == 'b' ? std::fmod(shifted, 2) : shifted;
}

class EveryType : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryType, IsReadExactlyInBothOrdersAndLayouts) {
    const auto arrays = read_npz(golden + GetParam());
    ASSERT_EQ(arrays.size(), 42U);
    for (const auto& [name, array] : arrays) {
        SCOPED_TRACE(name);
        const char kind = name[1];
        EXPECT_EQ(array.shape, (std::vector<Index>{3, 4}));
        EXPECT_EQ(array.integral, kind != 'f');
        ASSERT_EQ(array.values.size(), 12U);
        for (Index e = 0; e < 12; ++e) EXPECT_EQ(array.values[static_cast<std::size_t>(e)], expected_value(kind, e)) << e;
    }
}
INSTANTIATE_TEST_SUITE_P(StoredAndDeflated, EveryType, ::testing::Values("dtypes.npz", "dtypes_deflated.npz"));

TEST(ReadNpy, Versions) {
    for (const char* name : {"float64.npy", "version2.npy", "version3.npy"}) {
        const Array array = read_npy(golden + name);
        EXPECT_EQ(array.shape, (std::vector<Index>{3, 4})) << name;
        EXPECT_EQ(array.values.back(), 3.0) << name;
    }
}

TEST(ReadNpy, FortranOrderOfFourAxes) {
    const Array array = read_npy(golden + "fortran_4d.npy");
    EXPECT_EQ(array.shape, (std::vector<Index>{2, 3, 4, 5}));
    for (std::size_t e = 0; e < 120; ++e) EXPECT_EQ(array.values[e], static_cast<double>(e));
    const HostMatrix<double> matrix = array.as_matrix();
    EXPECT_EQ(matrix.rows(), 2);
    EXPECT_EQ(matrix.cols(), 60);
}

TEST(ReadNpy, HalfPrecisionValues) {
    const Array array = read_npy(golden + "half.npy");
    const double inf = std::numeric_limits<double>::infinity();
    const std::vector<double> expected{0, -0.0, 0x1p-24, 1023 * 0x1p-24, 0x1p-14, 0.0999755859375, -1.5, 65504, inf, -inf};
    ASSERT_EQ(array.values.size(), expected.size() + 1);
    for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(array.values[i], expected[i]);
        EXPECT_EQ(std::signbit(array.values[i]), std::signbit(expected[i]));
    }
    EXPECT_TRUE(std::isnan(array.values.back()));
}

TEST(ReadNpy, ScalarsAndEmptyArrays) {
    const Array scalar = read_npy(golden + "scalar.npy");
    EXPECT_TRUE(scalar.shape.empty());
    EXPECT_EQ(scalar.values, std::vector<double>{2.5});
    expect_error(ErrorCode::shape_mismatch, {"()", "fewer than two axes"}, [&] { (void)scalar.as_matrix(); });
    EXPECT_EQ(read_npy(golden + "no_samples.npy").as_matrix().cols(), 3);
}

TEST(ReadNpy, RefusesTypesThatAreNoNumbers) {
    const std::vector<std::pair<std::string, std::vector<std::string>>> cases{
        {"complex", {"'<c16'", "complex"}},
        {"text", {"'<U1'", "text"}},
        {"bytes", {"'|S1'", "text"}},
        {"object", {"'|O'", "Python objects"}},
        {"date", {"'<M8[D]'", "dates"}},
        {"longdouble", {"'<f16'", "float type"}},
        {"structured", {"structured", "('x', '<f8')"}},
        {"beyond_2_53", {"9007199254740993", "[1, 1]", "2^53"}},
    };
    for (const auto& [name, parts] : cases) {
        const std::string path = golden + "refused_" + name + ".npy";
        auto all = parts;
        all.push_back(path);
        expect_error(ErrorCode::io, all, [&] { (void)read_npy(path); });
    }
}

TEST(ReadNpy, IntegersUpToTwoToThe53) {
    const TemporaryFolder folder;
    const std::string limit("\x00\x00\x00\x00\x00\x00\x20\x00", 8), lowest("\x00\x00\x00\x00\x00\x00\xe0\xff", 8),
        beyond("\xff\xff\xff\xff\xff\xff\xdf\xff", 8);
    EXPECT_EQ(read_npy(folder.file("a.npy", npy_of("<i8", "(2,)", limit + lowest))).values, (std::vector<double>{0x1p53, -0x1p53}));
    expect_error(ErrorCode::io, {"-9007199254740993 at [1]"},
                 [&] { (void)read_npy(folder.file("b.npy", npy_of("<i8", "(2,)", limit + beyond))); });
    expect_error(ErrorCode::io, {"18437736874454810623 at [0]"},
                 [&] { (void)read_npy(folder.file("c.npy", npy_of("<u8", "(1,)", beyond))); });
}

TEST(ReadNpy, RefusesMalformedFiles) {
    const TemporaryFolder folder;
    const std::string good = read_bytes(golden + "float64.npy");
    const std::string eight(8, '\0');
    struct Case {
        std::string bytes;
        std::vector<std::string> parts;
    };
    const std::vector<Case> cases{
        {"", {"empty"}},
        {"\x93NUM", {"4 bytes"}},
        {"PK text that is no array", {"does not begin with"}},
        {std::string("\x93NUMPY\x07\x00", 8) + good.substr(8), {"version 7.0"}},
        {good.substr(0, 9), {"truncated", "byte 9"}},
        {good.substr(0, 40), {"truncated", "118 bytes", "30 follow"}},
        {good.substr(0, good.size() - 1), {"truncated", "(3, 4)", "96 bytes", "95 bytes follow"}},
        {good + "x", {"surplus", "96 bytes", "97 bytes follow"}},
        {npy_of("<f8", "(-1,)", eight), {"negative", "-1"}},
        {npy_of("<f8", "(99999999999999999999,)", eight), {"2^63"}},
        {npy_of("<f8", "(4294967296, 4294967296)", eight), {"(4294967296, 4294967296)", "8 bytes follow"}},
        {npy_of("<f8", "(0, 4294967296, 4294967296)", ""), {"more than a file can hold"}},
        {npy_of("<f8", "(1000000000000,)", eight), {"8000000000000 bytes", "8 bytes follow"}},
        {npy_of("<f8", "(1)", eight), {"comma"}},
        {npy_of("<f8", "(one,)", eight), {"no integer"}},
        {npy_of("<f8", "(1,), 'shape': (1,)", eight), {"repeated key 'shape'"}},
        {npy_of("<f8", "(1,), 'colour': 3", eight), {"key 'colour'"}},
        {npy_of("?f8", "(1,)", eight), {"dtype '?f8'"}},
        {npy_of("<f3", "(1,)", eight), {"dtype '<f3'"}},
        {npy_of("", "(1,)", eight), {"dtype ''"}},
        {npy("{'descr': '<f8', 'fortran_order': Maybe, 'shape': (1,)}", eight), {"True nor False"}},
        {npy("{'descr': '<f8', 'shape': (1,)}", eight), {"no descr, fortran_order or shape"}},
        {npy("{'descr': '<f8", eight), {"closing quote"}},
        {npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} more", eight), {"after the closing brace"}},
        {npy("", eight), {"no '{'"}},
        {npy_of("|b1", "(2,)", std::string("\x01\x02", 2)), {"[1]", "neither 0 nor 1"}},
    };
    for (const auto& [bytes, parts] : cases) {
        const std::string path = folder.file("bad.npy", bytes);
        auto all = parts;
        all.push_back(path);
        expect_error(ErrorCode::io, all, [&] { (void)read_npy(path); });
    }
    expect_error(ErrorCode::io, {"none.npy", "No such file"}, [&] { (void)read_npy(folder.path("none.npy")); });
    expect_error(ErrorCode::io, {"directory"}, [&] { (void)read_npy(folder.path("")); });
}

TEST(ReadNpy, EveryTruncationIsRefused) {
    const TemporaryFolder folder;
    const std::string good = read_bytes(golden + "float64.npy");
    for (std::size_t size = 0; size < good.size(); ++size)
        expect_error(ErrorCode::io, {"cut.npy"}, [&] { (void)read_npy(folder.file("cut.npy", good.substr(0, size))); });
}

TEST(ReadNpy, NeverMoreMemoryThanTheMachineHas) {
    const TemporaryFolder folder;
    // A sparse file that holds what it promises: 2^41 bytes of int8, 2^44 as float64.
    const std::string path = folder.file("sparse.npy", npy_of("|i1", "(2199023255552,)", ""));
    const auto header = static_cast<std::uintmax_t>(std::filesystem::file_size(path));
    std::error_code error;
    std::filesystem::resize_file(path, header + (std::uintmax_t{1} << 41), error);
    if (error) GTEST_SKIP() << "no sparse files of 2 TiB here: " << error.message();
    expect_error(ErrorCode::out_of_memory, {path, "17592186044416 bytes"}, [&] { (void)read_npy(path); });
}

TEST(ReadNpz, RefusesDamagedArchives) {
    const TemporaryFolder folder;
    const std::string good = read_bytes(golden + "x_and_y.npz");
    expect_error(ErrorCode::io, {"none.npz", "No such file"}, [&] { (void)read_npz(folder.path("none.npz")); });
    expect_error(ErrorCode::io, {"text.npz", "zip"}, [&] { (void)read_npz(folder.file("text.npz", "this is no archive")); });
    for (std::size_t size = 0; size < good.size(); size += 7)
        expect_error(ErrorCode::io, {"cut.npz"}, [&] { (void)read_npz(folder.file("cut.npz", good.substr(0, size))); });
    std::string flipped = good;
    const std::size_t value = good.find("\xe0?", 150);  // 0.5, a value of X
    ASSERT_NE(value, std::string::npos);
    flipped[value] ^= 1;
    expect_error(ErrorCode::io, {"flipped.npz", "array 'X'", "CRC"}, [&] { (void)read_npz(folder.file("flipped.npz", flipped)); });
}

/// An archive with these members, in this order.
std::string make_zip(const TemporaryFolder& folder, const std::string& name,
                     const std::vector<std::pair<std::string, std::string>>& members) {
    const std::string path = folder.path(name);
    int code = 0;
    zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
    for (const auto& [member, bytes] : members)
        zip_file_add(archive, member.c_str(), zip_source_buffer(archive, bytes.data(), bytes.size(), 0), 0);
    EXPECT_EQ(zip_close(archive), 0);
    return path;
}

TEST(ReadNpz, RefusesMembersThatAreNoArrays) {
    const TemporaryFolder folder;
    const std::string array = read_bytes(golden + "float64.npy");
    expect_error(ErrorCode::io, {"a.npz", "'notes.txt'"}, [&] {
        (void)read_npz(make_zip(folder, "a.npz", {{"x.npy", array}, {"notes.txt", "text"}}));
    });
    expect_error(ErrorCode::io, {"b.npz, array 'x'", "does not begin"}, [&] {
        (void)read_npz(make_zip(folder, "b.npz", {{"x.npy", "text, not NumPy"}}));
    });
    expect_error(ErrorCode::io, {"c.npz, array 'x'", "surplus"}, [&] {
        (void)read_npz(make_zip(folder, "c.npz", {{"x.npy", array + "more"}}));
    });
    expect_error(ErrorCode::io, {"d.npz, array 'x'", "truncated"}, [&] {
        (void)read_npz(make_zip(folder, "d.npz", {{"x.npy", array.substr(0, 200)}}));
    });
    expect_error(ErrorCode::io, {"e.npz, array 'x'", "promises"}, [&] {
        (void)read_npz(make_zip(folder, "e.npz", {{"x.npy", npy_of("<f8", "(1000000000000,)", std::string(1 << 20, '\0'))}}));
    });
}

TEST(ReadNpz, RefusesMembersThatPromiseMoreThanTheyHold) {
    const TemporaryFolder folder;
    // The uncompressed size of the one deflated member, 1 MiB and the header, becomes 3 GiB in the archive's headers.
    const std::string member = npy_of("|u1", "(1048576,)", std::string(1 << 20, '\0'));
    std::string bytes = read_bytes(make_zip(folder, "bomb.npz", {{"x.npy", member}}));
    std::string size(4, '\0');
    for (std::size_t i = 0; i < 4; ++i) size[i] = static_cast<char>(member.size() >> 8 * i & 255);
    std::size_t replaced = 0;
    for (std::size_t at = 0; (at = bytes.find(size, at)) != std::string::npos; ++replaced)
        bytes.replace(at, 4, std::string("\0\0\0\xc0", 4));
    ASSERT_EQ(replaced, 2U);
    expect_error(ErrorCode::io, {"bomb.npz, array 'x'", "3221225472 bytes"}, [&] { (void)read_npz(folder.file("bomb.npz", bytes)); });
}

TEST(WriteNpy, TheBytesThatNumPyWrites) {
    const TemporaryFolder folder;
    HostMatrix<double> values(3, 4);
    for (Index e = 0; e < 12; ++e) values.data()[e] = expected_value('f', e);
    write_npy(folder.path("a.npy"), values);
    EXPECT_EQ(read_bytes(folder.path("a.npy")), read_bytes(golden + "float64.npy"));
    write_npy(folder.path("b.npy"), values.cast<float>());
    EXPECT_EQ(read_bytes(folder.path("b.npy")), read_bytes(golden + "float32.npy"));
    const double scalar = 2.5;
    write_npy(folder.path("c.npy"), {}, &scalar);
    EXPECT_EQ(read_bytes(folder.path("c.npy")), read_bytes(golden + "scalar.npy"));
    write_npy(folder.path("d.npy"), HostMatrix<double>(0, 3));
    EXPECT_EQ(read_bytes(folder.path("d.npy")), read_bytes(golden + "no_samples.npy"));
}

TEST(WriteNpy, AnyShapeComesBack) {
    const TemporaryFolder folder;
    for (const std::vector<Index>& shape :
         std::vector<std::vector<Index>>{{7}, {2, 3}, {2, 1, 3}, {1, 2, 3, 4}, std::vector<Index>(32, 1)}) {
        std::vector<double> values(1);
        for (const Index size : shape) values.resize(values.size() * static_cast<std::size_t>(size));
        for (std::size_t e = 0; e < values.size(); ++e) values[e] = std::sqrt(static_cast<double>(e)) - 1;
        write_npy(folder.path("a.npy"), shape, values.data());
        const Array array = read_npy(folder.path("a.npy"));
        EXPECT_EQ(array.shape, shape);
        EXPECT_EQ(array.values, values);
        EXPECT_FALSE(array.integral);
    }
}

TEST(NpyFile, PiecesInAnyOrderAreTheFileWrittenAtOnce) {
    const TemporaryFolder folder;
    HostMatrix<double> values(7, 5);
    for (Index e = 0; e < values.size(); ++e) values.data()[e] = std::sqrt(static_cast<double>(e)) - 1;
    write_npy(folder.path("whole.npy"), values);
    NpyFile<double> file(folder.path("pieces.npy"), {7, 5});
    const ConstMatrixView<double> all = std::as_const(values).view();
    file.write(4, 0, all.row_range(4, 3));
    file.write(0, 3, all.row_range(0, 4).col_range(3, 2));
    file.write(0, 0, all.row_range(0, 4).col_range(0, 3));
    EXPECT_FALSE(std::filesystem::exists(folder.path("pieces.npy")));
    file.finish();
    EXPECT_EQ(read_bytes(folder.path("pieces.npy")), read_bytes(folder.path("whole.npy")));
    EXPECT_EQ(folder.entries(), 2U);
}

TEST(NpyFile, ReadsMoreAxesAsRows) {
    const TemporaryFolder folder;
    NpyFile<float> file(folder.path("a.npy"), {2, 3, 4});
    HostMatrix<float> row(1, 4, {1, 2, 3, 4});
    file.write(5, 0, row.view());
    file.finish();
    const Array array = read_npy(folder.path("a.npy"));
    EXPECT_EQ(array.shape, (std::vector<Index>{2, 3, 4}));
    EXPECT_EQ(array.values[19], 0);
    EXPECT_EQ(array.values[20], 1);
}

TEST(NpyFile, LeavesNothingUnlessItIsFinished) {
    const TemporaryFolder folder;
    const std::string kept = folder.file("a.npy", "kept");
    {
        NpyFile<double> file(kept, {3, 3});
        file.write(0, 0, HostMatrix<double>(3, 3).view());
        expect_error(ErrorCode::shape_mismatch, {"3 x 3"}, [&] { file.write(1, 0, HostMatrix<double>(3, 3).view()); });
    }
    EXPECT_EQ(read_bytes(kept), "kept");
    EXPECT_EQ(folder.entries(), 1U);
    expect_error(ErrorCode::io, {"none/a.npy"}, [&] { NpyFile<double>(folder.path("none/a.npy"), {1, 1}); });
    expect_error(ErrorCode::invalid_argument, {"axes"}, [&] { NpyFile<double>(kept, {}); });
}

TEST(NpyFile, AFullDiskIsFoundBeforeAnyWork) {
    const TemporaryFolder folder;
    const Index rows = Index{1} << 40;  // 8 EiB is more than any disk has
    expect_error(ErrorCode::io, {"a.npy", "GiB"}, [&] { NpyFile<double>(folder.path("a.npy"), {rows, 1 << 19}); });
    EXPECT_EQ(folder.entries(), 0U);
}

TEST(WriteNpz, MembersComeBackAndTheSameBytesAgain) {
    const TemporaryFolder folder;
    HostMatrix<double> values(3, 2), wide(2, 5);
    for (Index e = 0; e < 6; ++e) values.data()[e] = std::sqrt(static_cast<double>(e)) - 1;
    const HostMatrix<double> none(0, 4);
    const std::string text("a \"text\"\n\xff\0 of bytes", 20);
    const std::vector<NpzMember> members{{"values", values.view()}, {"text", std::string_view(text)}, {"none", none.view()}};
    write_npz(folder.path("a.npz"), members);
    const auto arrays = read_npz(folder.path("a.npz"));
    ASSERT_EQ(arrays.size(), 3U);
    EXPECT_EQ(arrays[0].first, "values");
    EXPECT_EQ(arrays[0].second.shape, (std::vector<Index>{3, 2}));
    EXPECT_EQ(arrays[0].second.values, std::vector<double>(values.data(), values.data() + 6));
    EXPECT_EQ(arrays[1].first, "text");
    EXPECT_TRUE(arrays[1].second.integral);
    std::string back;
    for (const double byte : arrays[1].second.values) back += static_cast<char>(static_cast<unsigned char>(byte));
    EXPECT_EQ(back, text);
    EXPECT_EQ(arrays[2].second.shape, (std::vector<Index>{0, 4}));
    write_npz(folder.path("b.npz"), members);
    EXPECT_EQ(read_bytes(folder.path("a.npz")), read_bytes(folder.path("b.npz")));
    EXPECT_EQ(folder.entries(), 2U);
    expect_error(ErrorCode::shape_mismatch, {"'wide'", "gaps"}, [&] {
        write_npz(folder.path("a.npz"), {{"wide", ConstMatrixView<double>(wide.view()).col_range(1, 2)}});
    });
    expect_error(ErrorCode::io, {"none/a.npz"}, [&] { write_npz(folder.path("none/a.npz"), members); });
    EXPECT_EQ(read_bytes(folder.path("a.npz")), read_bytes(folder.path("b.npz")));
}

TEST(WriteText, ReplacesWholeFilesAndLeavesNothingElse) {
    const TemporaryFolder folder;
    const std::string path = folder.path("a.txt");
    write_text(path, "first");
    write_text(path, "");
    EXPECT_EQ(read_bytes(path), "");
    write_text(path, std::string(1 << 20, 'x'));
    EXPECT_EQ(read_bytes(path).size(), std::size_t{1} << 20);
    EXPECT_EQ(folder.entries(), 1U);
    const mode_t mask = umask(0);
    umask(mask);
    struct stat info {};
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0666 & ~mask);
}

TEST(WriteText, FollowsSymbolicLinks) {
    const TemporaryFolder folder;
    const std::string target = folder.file("target.txt", "old");
    std::filesystem::create_symlink(target, folder.path("link.txt"));
    write_text(folder.path("link.txt"), "new");
    EXPECT_TRUE(std::filesystem::is_symlink(folder.path("link.txt")));
    EXPECT_EQ(read_bytes(target), "new");
}

TEST(WriteText, RefusesWhatItCannotReplace) {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder.path("folder"));
    expect_error(ErrorCode::io, {folder.path("folder"), "directory"}, [&] { write_text(folder.path("folder"), "x"); });
    expect_error(ErrorCode::io, {folder.path("none/a.txt"), "No such file"}, [&] { write_text(folder.path("none/a.txt"), "x"); });
    const std::string file = folder.file("file", "kept");
    expect_error(ErrorCode::io, {file + "/a.txt", "Not a directory"}, [&] { write_text(file + "/a.txt", "x"); });
    expect_error(ErrorCode::io, {"/dev/null", "regular"}, [&] { write_text("/dev/null", "x"); });
    expect_error(ErrorCode::io, {"empty"}, [&] { write_text("", "x"); });
    EXPECT_EQ(read_bytes(file), "kept");
    EXPECT_EQ(folder.entries(), 2U);
    if (geteuid() == 0) return;  // root writes everywhere
    std::filesystem::permissions(folder.path("folder"), std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    expect_error(ErrorCode::io, {"Permission denied"}, [&] { write_text(folder.path("folder/a.txt"), "x"); });
    std::filesystem::permissions(file, std::filesystem::perms::owner_read);
    expect_error(ErrorCode::io, {file, "Permission denied"}, [&] { write_text(file, "x"); });
}

TEST(ReadWeights, WithAndWithoutBiases) {
    const Weights weights = read_weights(golden + "weights.npz");
    ASSERT_EQ(weights.weights.size(), 2U);
    ASSERT_EQ(weights.biases.size(), 2U);
    EXPECT_EQ(weights.weights[0].rows(), 3);
    EXPECT_EQ(weights.weights[0](2, 1), 9 / 4.0);
    EXPECT_EQ(weights.weights[1](1, 0), 3.0);
    EXPECT_EQ(weights.biases[0].rows(), 1);
    EXPECT_EQ(weights.biases[0](0, 2), 3.0);
    EXPECT_EQ(weights.biases[1](0, 1), 5.0);
}

std::string zeros(const std::string& shape, std::size_t count) { return npy_of("<f8", shape, std::string(8 * count, '\0')); }

TEST(ReadWeights, OrderAndRowOrColumnBiasesDoNotMatter) {
    const TemporaryFolder folder;
    const Weights weights = read_weights(make_zip(
        folder, "w.npz",
        {{"b2.npy", zeros("(2, 1)", 2)}, {"W2.npy", zeros("(2, 3)", 6)}, {"W1.npy", zeros("(3, 4)", 12)}, {"b1.npy", zeros("(1, 3)", 3)}}));
    EXPECT_EQ(weights.biases[0].cols(), 3);
    EXPECT_EQ(weights.biases[1].cols(), 2);
    EXPECT_TRUE(read_weights(make_zip(folder, "v.npz", {{"W1.npy", zeros("(3, 4)", 12)}})).biases.empty());
}

TEST(ReadWeights, RefusesWhatDoesNotChain) {
    const TemporaryFolder folder;
    const std::string w1 = zeros("(3, 4)", 12), w2 = zeros("(2, 3)", 6), b1 = zeros("(3,)", 3), b2 = zeros("(2,)", 2);
    struct Case {
        ErrorCode code;
        std::vector<std::pair<std::string, std::string>> members;
        std::vector<std::string> parts;
    };
    const std::string nan = npy_of("<f8", "(1, 1)", std::string("\0\0\0\0\0\0\xf8\x7f", 8));
    const std::vector<Case> cases{
        {ErrorCode::io, {{"weight.npy", w1}}, {"no array 'W1'", "weight"}},
        {ErrorCode::io, {{"W1.npy", w1}, {"W3.npy", w2}}, {"'W3'", "no 'W2'"}},
        {ErrorCode::io, {{"W1.npy", w1}, {"bias.npy", b1}}, {"surplus array 'bias'"}},
        {ErrorCode::io, {{"W1.npy", w1}, {"W2.npy", w2}, {"b2.npy", b2}}, {"no 'b1'"}},
        {ErrorCode::io, {{"W1.npy", w1}, {"W2.npy", w2}, {"b1.npy", b1}}, {"no 'b2'"}},
        {ErrorCode::io, {{"W1.npy", w1}, {"b1.npy", b1}, {"b2.npy", b2}}, {"surplus array 'b2'"}},
        {ErrorCode::io, {{"W1.npy", nan}}, {"array 'W1'", "NaN at [0, 0]"}},
        {ErrorCode::shape_mismatch, {{"W1.npy", w1}, {"W2.npy", w1}}, {"W1 of shape (3, 4)", "W2 of shape (3, 4)"}},
        {ErrorCode::shape_mismatch, {{"W1.npy", zeros("(4, 3)", 12)}, {"W2.npy", zeros("(3, 2)", 6)}}, {"transposed"}},
        {ErrorCode::shape_mismatch, {{"W1.npy", zeros("(12,)", 12)}}, {"'W1'", "(12,)"}},
        {ErrorCode::shape_mismatch, {{"W1.npy", zeros("(0, 4)", 0)}}, {"'W1'", "(0, 4)"}},
        {ErrorCode::shape_mismatch, {{"W1.npy", w1}, {"b1.npy", b2}}, {"'b1'", "(2,)", "W1", "(3, 4)"}},
        {ErrorCode::shape_mismatch, {{"W1.npy", w1}, {"b1.npy", zeros("(3, 2)", 6)}}, {"'b1'", "(3, 2)"}},
    };
    for (const auto& [code, members, parts] : cases) {
        auto all = parts;
        all.push_back("bad.npz");
        expect_error(code, all, [&, &files = members] { (void)read_weights(make_zip(folder, "bad.npz", files)); });
    }
}

}  // namespace
}  // namespace ntk
