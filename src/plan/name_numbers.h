// The numbers that trainers write into names: of steps ("step_100", "ckpt_000250") and of parts
// ("model-00001-of-00004"). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "format/key.h"

namespace grove {

bool is_digit(char c);

// None where there is none, or one that no 64 bits hold.
std::optional<std::uint64_t> last_integer(std::string_view name);

// "model-00001-of-00004" → "model"
std::string_view without_part(std::string_view stem);

// "model-00001-of-00004.safetensors" → 4: how many files the name says its set has; else 1.
std::uint64_t parts_count_of(CheckpointKey const& key);

// The file's name without its extension and the numbers of its part.
std::string_view stem_of(CheckpointKey const& key);

// Equal for names that differ in their numbers alone; only for comparing.
std::string without_numbers(std::string_view name);

}  // namespace grove
