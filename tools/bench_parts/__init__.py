"""The parts of `tools/bench`: each measures archcast against something else in the same run."""
