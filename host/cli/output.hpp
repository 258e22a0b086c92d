#pragma once

// Where results go: names inside --out, tables, figures.

#include "folder_lock.hpp"
#include "run.hpp"

namespace ntk::cli {

/// "K.npy" -> "K.run.json"; used by the commands that write one file.
[[nodiscard]] std::string beside(const std::string& file, const std::string& suffix);
/// Refuses an --out that cannot be written before any work is done. Throws Error(io). A dry run may have none.
void require_writable_file(const RunArguments& run);
/// Creates the directory if needed, holds it for this process, and removes what killed ones have left half-written in it. Throws Error(io)
/// with the reason, and when another process holds it. On several ranks the root does so; the others have nothing to hold.
[[nodiscard]] std::unique_ptr<FolderLock> hold_output_directory(const std::string& path);

/// The same for the --out of a run, `contents` being what goes there; a dry run holds and changes nothing, and may have none.
/// Throws Error(invalid_argument) where it is missing.
[[nodiscard]] std::unique_ptr<FolderLock> hold_output(const RunArguments& run, const std::string& contents);

/// An aligned table for people: the first row is the header.
[[nodiscard]] std::string table(const std::vector<std::vector<std::string>>& rows);

/// "0.512 +- 0.01".
[[nodiscard]] std::string with_error(double value, double error);

/// Draws figures/NAME.svg and figures/NAME.png inside `directory` by gnuplot and leaves the script and the data beside them. The
/// script names its data file by the variable `data`. Without gnuplot: warns how to get it.
/// Returns the path of the PNG, or an empty text.
[[nodiscard]] std::string draw_figure(Run& run, const std::string& directory, const std::string& name, const std::string& data,
                                      const std::string& script);

/// Progress of long work: a bar with an estimate on a terminal, a line now and then when piped, nothing with --quiet.
class Progress {
public:
    Progress(const Run& run, std::string what);
    ~Progress();
    void operator()(Index done, Index total);
    /// What is said to be done from here on.
    void rename(std::string what) { what_ = std::move(what); }
    /// With an estimate of one's own of the seconds that are left.
    void operator()(Index done, Index total, double left);
    [[nodiscard]] double elapsed() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

private:
    std::string what_;
    bool quiet_, terminal_, shown_ = false;
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), last_ = start_;
    Index first_done_ = -1;
};

}  // namespace ntk::cli
