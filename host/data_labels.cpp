#include "data_labels.hpp"

#include "array_reader.hpp"
#include "memory_limit.hpp"
#include "text_number.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_map>

namespace ntk {
namespace {

constexpr std::size_t most_automatic_classes = 20;

bool few_integers(const std::vector<double>& values) {
    std::set<double> distinct;
    for (const double v : values) {
        if (v != std::rint(v)) return false;
        if (distinct.insert(v).second && distinct.size() > most_automatic_classes) return false;
    }
    return true;
}

std::vector<double> to_vector(const HostMatrix<double>& values) { return {values.data(), values.data() + values.size()}; }

struct TextLabels {
    std::vector<double> numbers;  // of the labels that are numbers
    Index first_text = -1;        // sample of the first label that is none
};

TextLabels parse_text_labels(const Labels& labels) {
    TextLabels parsed;
    for (std::size_t i = 0; i < labels.text.size(); ++i) {
        double value = 0;
        const auto sample = static_cast<Index>(i);
        const NumberText kind = parse_number(labels.text[i], value);
        if (kind == NumberText::number)
            parsed.numbers.push_back(value);
        else if (kind != NumberText::text)
            throw Error(ErrorCode::io,
                        fmt::format("{}: {} where a label was expected", labels.where(sample), describe_bad_number(kind, labels.text[i])));
        else if (parsed.first_text < 0)
            parsed.first_text = sample;
    }
    return parsed;
}

[[noreturn]] void refuse_text(const Labels& labels, Index sample, const std::string& because) {
    throw Error(ErrorCode::io, fmt::format("{}: the text {} where a number was expected{}", labels.where(sample),
                                           quoted_for_message(labels.text[static_cast<std::size_t>(sample)]), because));
}

/// Decides the task; text among numbers that are no classes is taken for what it is, a bad field.
bool is_classification(const Labels& labels, const DataOptions& options) {
    if (options.task == Task::classification || (options.task == Task::automatic && !options.classes.empty())) {
        if (labels.values.cols() > 1)
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("{}: {} columns of labels: classification expects one (--task regression takes several targets)",
                                    labels.where(0), labels.values.cols()));
        return true;
    }
    if (options.task == Task::regression) {
        if (!options.classes.empty())
            throw Error(ErrorCode::invalid_argument,
                        fmt::format("{}: regression, and classes are given ({} of them)", labels.where(0), options.classes.size()));
        if (!labels.numeric()) refuse_text(labels, parse_text_labels(labels).first_text, " (--task regression)");
        return false;
    }
    if (labels.numeric()) return labels.integral && labels.values.cols() == 1 && few_integers(to_vector(labels.values));
    const TextLabels parsed = parse_text_labels(labels);
    if (!few_integers(parsed.numbers))
        refuse_text(
            labels, parsed.first_text,
            fmt::format(" (other labels are numbers, and not at most {} integers; --task classification if all are names of classes)",
                        most_automatic_classes));
    return true;
}

std::string class_name(const Labels& labels, Index sample) {
    return labels.numeric() ? number_text(labels.values(sample, 0)) : labels.text[static_cast<std::size_t>(sample)];
}

/// In sorted order: numbers by value, text by bytes.
std::vector<std::string> find_classes(const Labels& labels) {
    std::vector<std::string> classes;
    if (labels.numeric()) {
        const std::vector<double> values = to_vector(labels.values);
        for (const double value : std::set<double>(values.begin(), values.end())) classes.push_back(number_text(value));
    } else {
        const std::set<std::string> names(labels.text.begin(), labels.text.end());
        classes.assign(names.begin(), names.end());
    }
    return classes;
}

/// Class numbers of the first `samples` labels.
std::vector<Index> encode(const Labels& labels, const std::vector<std::string>& classes, Index samples) {
    std::unordered_map<std::string, Index> number;
    for (const std::string& name : classes)
        if (!number.emplace(name, static_cast<Index>(number.size())).second)
            throw Error(ErrorCode::invalid_argument, fmt::format("class {} is given twice", quoted_for_message(name)));
    std::vector<Index> result;
    result.reserve(static_cast<std::size_t>(samples));
    for (Index i = 0; i < samples; ++i) {
        const std::string name = class_name(labels, i);
        // As it is written first: classes that are text may tell "03" from "3", which are one number.
        auto found = labels.text.empty() ? number.end() : number.find(labels.text[static_cast<std::size_t>(i)]);
        if (found == number.end()) found = number.find(name);
        if (found == number.end()) {
            constexpr std::size_t most_listed = 20;
            const bool all = classes.size() <= most_listed;
            const std::vector<std::string> listed(classes.begin(), all ? classes.end() : classes.begin() + most_listed);
            throw Error(ErrorCode::io,
                        fmt::format("{}: the label {} is none of the {} classes of the training samples ({}{})", labels.where(i),
                                    quoted_for_message(name), classes.size(), fmt::join(listed, ", "), all ? "" : ", .."));
        }
        result.push_back(found->second);
    }
    return result;
}

}  // namespace

Labels labels_of(CsvTable&& table) {
    Labels labels;
    labels.text = std::move(table.target);
    const auto column = table.target_column;
    const auto context = std::make_shared<CsvTable>();
    context->path = std::move(table.path);
    context->header = std::move(table.header);
    context->line = std::move(table.line);
    labels.where = [context, column](Index sample) { return context->where(sample, column); };
    TextLabels parsed = parse_text_labels(labels);
    if (parsed.first_text < 0) {
        const auto rows = static_cast<Index>(parsed.numbers.size());
        labels.integral = std::all_of(parsed.numbers.begin(), parsed.numbers.end(), [](double v) { return v == std::rint(v); });
        labels.values = {rows, 1, std::move(parsed.numbers)};
    }
    return labels;
}

Labels labels_of(Array&& array, Index samples, const std::string& name) {
    if (array.shape.empty() || array.shape.size() > 2 || array.shape[0] != samples || array.values.empty())
        throw Error(ErrorCode::io, fmt::format("{}: labels of shape {}, and there are {} samples: expected ({},) or ({}, targets)", name,
                                               shape_text(array.shape), samples, samples, samples));
    require_finite(array, name);
    Labels labels;
    labels.integral = array.integral;
    labels.where = [name](Index sample) { return fmt::format("{}: label {} (counted from 0)", name, sample); };
    const Index targets = static_cast<Index>(array.values.size()) / samples;
    labels.values = {samples, targets, std::move(array.values)};
    return labels;
}

void encode_labels(const Labels& labels, const DataOptions& options, Dataset& data) {
    const Index samples = data.samples();
    if (!is_classification(labels, options)) {
        const Index targets = labels.values.cols();
        data.y = {samples, targets, {labels.values.data(), labels.values.data() + samples * targets}};
        return;
    }
    data.classes = options.classes.empty() ? find_classes(labels) : options.classes;
    data.label = encode(labels, data.classes, samples);
    const auto count = static_cast<Index>(data.classes.size());
    data.y = make_host_matrix(samples, count, fmt::format("{}: one-hot labels of {} classes", data.source, count));
    for (Index i = 0; i < samples; ++i) {
        for (Index c = 0; c < count; ++c) data.y(i, c) = -1.0 / static_cast<double>(count);
        data.y(i, data.label[static_cast<std::size_t>(i)]) += 1;
    }
}

}  // namespace ntk
