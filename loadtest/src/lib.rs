//! Benchmarks and fault injection through public interfaces only.
