#include "kernel_part.hpp"

#include "host/cli/kernel_task.hpp"

#include <algorithm>

namespace ntk::cli {

HostMatrix<double> samples_of(const HostMatrix<double>& x, const CyclicAxis& axis, int part) {
    HostMatrix<double> mine(axis.count(part), x.cols());
    for (Index i = 0; i < mine.rows(); ++i) std::copy_n(x.data() + axis.global(part, i) * x.cols(), x.cols(), mine.data() + i * x.cols());
    return mine;
}

template <class Real>
KernelPart<Real>::KernelPart(const std::shared_ptr<Backend<Real>>& backend, const DistributedLayout& layout, int rank,
                             const HostMatrix<double>& x1, const HostMatrix<double>& x2, Index rows_per_sample)
    : backend_(backend),
      layout_(layout),
      rank_(rank),
      rows_(layout.local_rows(rank) * rows_per_sample),
      cols_(layout.local_cols(rank) * rows_per_sample) {
    if (empty()) return;
    x1_ = upload(backend, samples_of(x1, layout.rows, layout.grid.row_of(rank)));
    x2_ = upload(backend, samples_of(x2, layout.cols, layout.grid.col_of(rank)));
    backend->synchronize();  // upload may still read what it was given
}

template <class Real>
template <class Work>
void KernelPart<Real>::on_device(bool fresh, const Work& work) {
    if (empty()) return;
    if (backend_->info().kind == DeviceKind::cpu) return work(entries_.view());
    Matrix<Real> device(backend_, rows_, cols_);
    if (!fresh) backend_->upload(entries_.view(), device.view());
    work(device.view());
    download(device, entries_.view());
}

template <class Real>
void KernelPart<Real>::compute(const KernelSource<Real>& source, const PassGroups& groups) {
    entries_ = HostMatrix<Real>(rows_, cols_);
    on_device(true, [&](MatrixView<Real> out) { source.cross_into(out, x1_, x2_, kernel_pieces(layout_, rank_), groups); });
}

template <class Real>
Matrix<Real> KernelPart<Real>::compute_on_device(const KernelSource<Real>& source, const PassGroups& groups) {
    Matrix<Real> part(backend_, rows_, cols_);
    if (!empty()) source.cross_into(part.view(), x1_, x2_, kernel_pieces(layout_, rank_), groups);
    return part;
}

template <class Real>
void KernelPart<Real>::normalize(const KernelSource<Real>& source) {
    on_device(false, [&](MatrixView<Real> entries) { normalize(source, entries); });
}

template <class Real>
void KernelPart<Real>::normalize(const KernelSource<Real>& source, MatrixView<Real> on_device) const {
    if (empty()) return;
    normalize_kernel<Real>(
        source, x1_, x2_, [this](Index i) { return layout_.global_row(rank_, i); },
        [this](Index i) { return layout_.global_col(rank_, i); }, on_device);
}

template <class Real>
void require_all_in_range(const KernelSource<Real>& source, const std::shared_ptr<Backend<Real>>& backend, const HostMatrix<double>& x) {
    (void)source.diagonal(upload(backend, x));
}

template class KernelPart<float>;
template class KernelPart<double>;
template void require_all_in_range(const KernelSource<float>&, const std::shared_ptr<Backend<float>>&, const HostMatrix<double>&);
template void require_all_in_range(const KernelSource<double>&, const std::shared_ptr<Backend<double>>&, const HostMatrix<double>&);

}  // namespace ntk::cli
