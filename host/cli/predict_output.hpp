#pragma once

// What every `predict` leaves: the table of its scores, predictions.npy, predict.csv, and the report.

#include "closed_form_solver.hpp"

namespace ntk::cli {

/// Adds the scores on `test` (if it has targets) and the facts of the system, writes the files and ends the run. `train` gives classes.
void finish_prediction(Run& run, const Dataset& train, const Dataset& test, const Solution& solution);

}  // namespace ntk::cli
