// Random numbers: the same bits everywhere.

#include "verify.hpp"

#include <fmt/format.h>

#include <cstring>

namespace ntk {
namespace {

constexpr NormalStream hashed_stream{0x0123456789abcdefULL, 7, weight_stream(3)};
constexpr Index hashed_rows = 1000;

/// FNV-1a over the bits as floats.
template <class Real>
std::uint64_t hash_of(const HostMatrix<Real>& normals) {
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (Index e = 0; e < normals.size(); ++e) {
        const auto value = static_cast<float>(normals.data()[e]);
        std::uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        hash = (hash ^ bits) * 0x100000001b3ULL;
    }
    return hash;
}

double differs(const Verifier& verifier, std::uint64_t hash, std::string& note) {
    note = fmt::format("{:016x}", hash);
    return hash == verifier.expected().normals_hash ? 0 : 1;
}

template <class Real>
void check_device(Verifier& verifier) {
    using enum VerifyCheck::Measure;
    const auto& backend = verifier.backend<Real>();
    verifier.check(fmt::format("hash of 10^6 normals, {}", precision_name<Real>), values, 0, [&](std::string& note) {
        Matrix<Real> x(backend, hashed_rows, hashed_rows);
        backend->draw_normals(hashed_stream, 1, x.view());
        return differs(verifier, hash_of(download(x)), note);
    });
    verifier.check(fmt::format("normals times 0.7 against the host's, {}", precision_name<Real>), values, 0, [&](std::string&) {
        const NormalStream stream{verifier.options().seed, 3, weight_stream(2)};
        Matrix<Real> x(backend, 123, 1001);
        backend->draw_normals(stream, 0.7, x.view());
        const HostMatrix<Real> got = download(x);
        const HostMatrix<double> normals = host_normals(stream, x.rows(), x.cols());
        double wrong = 0;
        for (Index e = 0; e < got.size(); ++e) wrong += got.data()[e] == static_cast<Real>(0.7 * normals.data()[e]) ? 0 : 1;
        return wrong;
    });
}

}  // namespace

void verify_random(Verifier& verifier) {
    verifier.begin("random numbers");
    verifier.check("hash of 10^6 normals, host", VerifyCheck::Measure::values, 0, [&](std::string& note) {
        return differs(verifier, hash_of(host_normals(hashed_stream, hashed_rows, hashed_rows)), note);
    });
    check_device<double>(verifier);
    check_device<float>(verifier);
}

}  // namespace ntk
