#pragma once

/// \file workers.hpp
/// Who computes a sweep: compare() and ensemble() on several devices of this machine, and on several ranks.
///
///     compare(Workers<double>(make_backends<double>("cuda:all")), train, test, options);
///
/// The items of a sweep (a network of compare(), a chunk of networks of ensemble()) are computed by whoever is free and put together in
/// their own order, so the result has the same bits for any number of workers of one kind of device.

#include <ntkcuda/device.hpp>
#include <ntkcuda/error.hpp>
#include <ntkcuda/ranks.hpp>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace ntk {

/// Backends that work at once, each on a thread of its own (the first on the caller's), together with those of other ranks. Nothing
/// else may use the backends meanwhile.
template <class Real>
class Workers {
public:
    /// One, on the caller's thread.
    explicit Workers(std::shared_ptr<Backend<Real>> backend) : Workers(std::vector<std::shared_ptr<Backend<Real>>>{std::move(backend)}) {}
    /// Those of this rank; `ranks` must outlive what is done with them, and every rank makes the same call. Throws Error(invalid_argument)
    /// if there is no backend, or if one is null.
    explicit Workers(std::vector<std::shared_ptr<Backend<Real>>> backends, Ranks& ranks = one_rank())
        : backends_(std::move(backends)), ranks_(&ranks) {
        if (backends_.empty() || std::find(backends_.begin(), backends_.end(), nullptr) != backends_.end())
            throw Error(ErrorCode::invalid_argument, "workers: every rank needs a backend, and each of them must be there");
    }

    [[nodiscard]] const std::vector<std::shared_ptr<Backend<Real>>>& backends() const { return backends_; }
    [[nodiscard]] Ranks& ranks() const { return *ranks_; }

private:
    std::vector<std::shared_ptr<Backend<Real>>> backends_;
    Ranks* ranks_;
};

}  // namespace ntk
