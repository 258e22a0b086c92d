#include "input_file.hpp"

#include "host/data_csv.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace ntk;
    static const fuzz::InputFile file("input.csv");
    file.write(bytes, size);
    for (const char* target : {"none", "1", "label"}) fuzz::load({.source = file.path(), .target = target});
    for (const Task task : {Task::automatic, Task::classification, Task::regression}) fuzz::load({.source = file.path(), .task = task});
    for (const Index samples : {1, 3}) fuzz::may_refuse([&] { (void)read_csv_labels(file.path(), samples); });
    return 0;
}
