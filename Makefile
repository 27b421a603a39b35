# Short names for the scripts, which also run without make.
.PHONY: demo test lint format fuzz

demo:
	scripts/demo

test:
	scripts/test

lint:
	scripts/lint

format:
	find src fuzz \( -name '*.cpp' -o -name '*.h' \) -exec clang-format-14 -i {} +

# A minute of libFuzzer for each parser; new inputs go to fuzz/corpus.
fuzz:
	scripts/fuzz
