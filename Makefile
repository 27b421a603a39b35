# Short names for the scripts, which also run without make.
.PHONY: demo test lint format fuzz soak simulate

demo:
	scripts/demo

test:
	scripts/test

lint:
	scripts/lint

format:
	find src fuzz \( -name '*.cpp' -o -name '*.h' \) -exec clang-format-14 -i {} +

# Faults on a made-up cluster, planned for by the real code: make simulate SEED=1 HOURS=2
simulate:
	scripts/build --target simulate
	build/simulate --seed $(or $(SEED),1) --seconds $$(( $(or $(HOURS),1) * 3600 ))

# An hour of stores, gathers, deletions and faults at random: make soak MINUTES=60 SEED=1
soak:
	scripts/soak --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED))

# A minute of libFuzzer for each parser; new inputs go to fuzz/corpus.
fuzz:
	scripts/fuzz
