"""One model in several processes, each with a share of the batches and a journal of its own."""
