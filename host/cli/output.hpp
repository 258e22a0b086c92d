#pragma once

// Where results go: names inside --out, tables, figures.

#include "folder_lock.hpp"
#include "progress_bar.hpp"
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

/// Progress of long work of a run, told by the root; nothing with --quiet.
class Progress : public ProgressBar {
public:
    Progress(const Run& run, std::string what) : ProgressBar(std::move(what), run.arguments().quiet || !run.ranks().root()) {}
};

}  // namespace ntk::cli
