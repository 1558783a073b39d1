//! The worker as its next release could be: the sources of `worker`, with one change made to the path of its
//! workflow, as `build.rs` has it. The tests of upgrades swap the two under load.

include!(concat!(env!("OUT_DIR"), "/lib.rs"));
