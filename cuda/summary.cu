// Count, extremes and sums of the entries of a matrix.

#include "column_reduction.hpp"
#include "cuda_backend.hpp"

#include "host/backend/entry_summary.hpp"

namespace ntk::cuda {
namespace {

using formulas::EntryFacts;

template <class Real>
struct Look {
    DeviceMatrix<const Real> x;
    double shift;
    bool off_diagonal;
    __device__ EntryFacts operator()(Index first, Index end, Index j) const {
        EntryFacts facts;
        for (Index i = off_diagonal && first <= j ? j + 1 : first; i < end; ++i)
            facts.join(EntryFacts::of(static_cast<double>(x(i, j)) - shift, i, j));
        return facts;
    }
};

struct Join {
    __host__ __device__ EntryFacts operator()(EntryFacts a, const EntryFacts& b) const {
        a.join(b);
        return a;
    }
};

}  // namespace

template <class Real>
EntrySummary CudaSummary<Real>::summarize(ConstMatrixView<Real> x, Entries entries, double shift) {
    if (x.empty()) return {};
    return entry_summary(reduce_columns(this->context(), Look<Real>{x, shift, entries == Entries::off_diagonal}, Join(), Join(),
                                        EntryFacts{}, x.rows(), x.cols()));
}

template class CudaSummary<float>;
template class CudaSummary<double>;

}  // namespace ntk::cuda
