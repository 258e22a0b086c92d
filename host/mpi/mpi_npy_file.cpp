#include "host/npy_header.hpp"
#include "host/write_aside.hpp"
#include "mpi_call.hpp"

#include <ntkcuda/mpi.hpp>

#include <fmt/format.h>
#include <unistd.h>

#include <array>

namespace ntk {
namespace {

/// Where a rank's part lies in the whole matrix.
MPI_Datatype places(const DistributedLayout& layout, int rank, MPI_Datatype entry) {
    const RankGrid& grid = layout.grid;
    const std::array<int, 2> sizes{static_cast<int>(layout.rows.size), static_cast<int>(layout.cols.size)},
        dealt{MPI_DISTRIBUTE_CYCLIC, MPI_DISTRIBUTE_CYCLIC}, sides{static_cast<int>(layout.rows.side), static_cast<int>(layout.cols.side)},
        parts{grid.rows, grid.cols};
    MPI_Datatype type = MPI_DATATYPE_NULL;
    mpi_call("MPI_Type_create_darray", MPI_Type_create_darray(grid.rows * grid.cols, rank, 2, sizes.data(), dealt.data(), sides.data(),
                                                              parts.data(), MPI_ORDER_C, entry, &type));
    return type;
}

/// What a rank gathers of the others' parts before it writes them: Open MPI would take 32 MiB.
constexpr const char* buffer_bytes = "4194304";

class Hints {
public:
    Hints() {
        mpi_call("MPI_Info_create", MPI_Info_create(&info_));
        mpi_call("MPI_Info_set", MPI_Info_set(info_, "cb_buffer_size", buffer_bytes));
    }
    ~Hints() { MPI_Info_free(&info_); }
    Hints(const Hints&) = delete;
    Hints& operator=(const Hints&) = delete;
    [[nodiscard]] MPI_Info get() const { return info_; }

private:
    MPI_Info info_ = MPI_INFO_NULL;
};

}  // namespace

template <class Real>
MpiNpyFile<Real>::MpiNpyFile(MpiRanks& ranks, const std::string& path, const std::vector<Index>& shape) : ranks_(ranks), path_(path) {
    const std::string header = npy_header(native_float(sizeof(Real)), shape);
    start_ = static_cast<Index>(header.size());
    cols_ = shape.back();
    if (ranks.root()) {
        Index bytes = static_cast<Index>(sizeof(Real));
        for (const Index size : shape) bytes *= size;
        aside_ = std::make_unique<FileAside>(path, FileAside::Name::at_once);
        aside_->reserve(start_ + bytes);
        aside_->write_at(0, header);
        name_ = aside_->name();
    }
    const std::vector<std::byte> name = ranks.broadcast(std::as_bytes(std::span(name_)));
    name_.assign(reinterpret_cast<const char*>(name.data()), name.size());
    if (const int status = MPI_File_open(ranks.communicator(), name_.c_str(), MPI_MODE_WRONLY, Hints().get(), &file_);
        status != MPI_SUCCESS)
        throw Error(ErrorCode::io, fmt::format("{}: cannot be written by rank {} of {}, which must see the same directory: {}", path,
                                               ranks.rank(), ranks.size(), mpi_message(status)));
}

template <class Real>
MpiNpyFile<Real>::~MpiNpyFile() {
    if (!name_.empty()) unlink(name_.c_str());  // a rank that fails: the others do not come here
}

template <class Real>
void MpiNpyFile<Real>::write(Index first, const DistributedLayout& layout, ConstMatrixView<Real> part) {
    const auto require = [&](int status) {
        if (status != MPI_SUCCESS) throw Error(ErrorCode::io, fmt::format("{}: cannot be written: {}", path_, mpi_message(status)));
    };
    const MPI_Offset offset = start_ + first * cols_ * static_cast<Index>(sizeof(Real));
    if (part.empty()) {  // the others' calls need it all the same
        require(MPI_File_set_view(file_, offset, mpi_type<Real>(), mpi_type<Real>(), "native", MPI_INFO_NULL));
        return require(MPI_File_write_all(file_, nullptr, 0, mpi_type<Real>(), MPI_STATUS_IGNORE));
    }
    const MpiType places_of_part(places(layout, ranks_.rank(), mpi_type<Real>())),
        row(mpi_row(static_cast<std::size_t>(part.cols()), mpi_type<Real>()));
    require(MPI_File_set_view(file_, offset, mpi_type<Real>(), places_of_part.get(), "native", MPI_INFO_NULL));
    MPI_Status written;
    require(MPI_File_write_all(file_, part.data(), static_cast<int>(part.rows()), row.get(), &written));
    int rows = 0;
    MPI_Get_count(&written, row.get(), &rows);
    if (rows != part.rows())
        throw Error(ErrorCode::io,
                    fmt::format("{}: cannot be written: {} of {} rows of rank {} were", path_, rows, part.rows(), ranks_.rank()));
}

template <class Real>
void MpiNpyFile<Real>::finish() {
    if (const int status = MPI_File_close(&file_); status != MPI_SUCCESS)
        throw Error(ErrorCode::io, fmt::format("{}: cannot be written: {}", path_, mpi_message(status)));
    (void)ranks_.all_gather({});  // all have closed it
    if (aside_) aside_->commit();
    name_.clear();
}

template class MpiNpyFile<float>;
template class MpiNpyFile<double>;

}  // namespace ntk
