//! The reader that this binary is named after, with a hyphen for its dot.
#![no_main]

mod readers;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let name = env!("CARGO_BIN_NAME").replace('-', ".");
    let reader = readers::READERS.iter().find(|reader| reader.name == name).expect("a reader of that name");
    let path = std::env::temp_dir().join(format!("fitch-fuzz-{}-{name}", std::process::id()));
    (reader.read)(bytes, &path);
});
