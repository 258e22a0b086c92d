#pragma once

// One side of a kernel of a finite network: the forward pass over its samples, then the backward pass layer by layer, on one rank or
// shared by those that have the same samples.

#include "backward_pass.hpp"

#include <ntkcuda/distributed_layout.hpp>
#include <ntkcuda/ranks.hpp>

namespace ntk {

/// Rows of which each rank of a group makes its share (pass_shares).
class SharedRows {
public:
    SharedRows(Ranks& ranks, Index rows) : ranks_(ranks), shares_(pass_shares(rows, ranks.size())) {}

    [[nodiscard]] bool alone() const { return ranks_.size() == 1; }
    [[nodiscard]] Index count() const { return shares_.size; }
    template <class Real>
    [[nodiscard]] ConstMatrixView<Real> share_of(ConstMatrixView<Real> all) const {
        return all.row_range(first(shares_), shares_.count(ranks_.rank()));
    }
    /// What all ranks have made of their shares, `each` rows a sample; through the host.
    template <class Real>
    [[nodiscard]] Matrix<Real> gather(const std::shared_ptr<Backend<Real>>& backend, ConstMatrixView<Real> mine, Index each) const {
        const CyclicAxis rows = shares_.repeated(each);
        Matrix<Real> all(backend, rows.size, mine.cols());
        if (backend->info().kind == DeviceKind::cpu) {
            gather_into(all.view(), *backend, mine, rows);
            return all;
        }
        HostMatrix<Real> values(all.rows(), all.cols());
        gather_into(values.view(), *backend, mine, rows);
        backend->upload(values.view(), all.view());
        backend->synchronize();  // the host values go
        return all;
    }

private:
    [[nodiscard]] Index first(const CyclicAxis& rows) const { return std::min(rows.global(ranks_.rank(), 0), rows.size); }

    template <class Real>
    void gather_into(MatrixView<Real> host, Backend<Real>& backend, ConstMatrixView<Real> mine, const CyclicAxis& rows) const {
        backend.download(mine, host.row_range(first(rows), mine.rows()));
        std::vector<std::int64_t> counts;
        for (int rank = 0; rank < ranks_.size(); ++rank) counts.push_back(rows.count(rank));
        ranks_.all_gather_rows(std::as_writable_bytes(std::span(host.data(), static_cast<std::size_t>(host.size()))),
                               static_cast<std::size_t>(host.cols()) * sizeof(Real), counts);
    }

    Ranks& ranks_;
    CyclicAxis shares_;
};

template <class Real>
class KernelSide {
public:
    /// The network, and x on every rank of the group, must outlive this.
    KernelSide(const Network<Real>& network, ConstMatrixView<Real> x, Ranks& ranks = one_rank())
        : network_(network), x_(x), rows_(ranks, x.rows()), pass_(forward(network, rows_.share_of(x))), backward_(network, pass_) {
        gather();
    }
    KernelSide(const KernelSide&) = delete;
    KernelSide& operator=(const KernelSide&) = delete;

    [[nodiscard]] Index samples() const { return rows_.count(); }
    /// a^{l-1}, the input of the layer where the backward pass is: first L.
    [[nodiscard]] ConstMatrixView<Real> input() const {
        const Index below = backward_.layer() - 1;
        return below == 0 ? x_ : rows_.alone() ? pass_.activation(below) : input_.view();
    }
    /// delta^l (n O x n_l); empty at the output layer.
    [[nodiscard]] ConstMatrixView<Real> delta() const { return rows_.alone() ? backward_.delta() : delta_.view(); }
    /// delta^l read as n x (O n_l), whose Gram matrix is summed over outputs; empty at the output layer.
    [[nodiscard]] ConstMatrixView<Real> summed_delta() const {
        const ConstMatrixView<Real> d = delta();
        return d.empty() ? d : d.reshaped(samples(), network_.architecture.outputs * d.cols());
    }
    void step() {
        input_ = {};
        delta_ = {};
        backward_.step();
        gather();
    }

private:
    /// What of this layer the products need and this rank has its share of.
    void gather() {
        if (rows_.alone()) return;
        const Index layer = backward_.layer();
        if (layer > 1) input_ = rows_.gather(network_.backend(), pass_.activation(layer - 1), 1);
        if (layer < network_.architecture.depth())
            delta_ = rows_.gather(network_.backend(), backward_.delta(), network_.architecture.outputs);
    }

    const Network<Real>& network_;
    ConstMatrixView<Real> x_;
    SharedRows rows_;
    Forward<Real> pass_;
    BackwardPass<Real> backward_;
    Matrix<Real> input_, delta_;  ///< of all rows, where ranks share them
};

}  // namespace ntk
