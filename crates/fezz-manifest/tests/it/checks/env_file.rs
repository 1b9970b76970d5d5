//! Properties of the parser of `.env` files, for any input.

use std::collections::BTreeMap;

use fezz_manifest::{MAX_ENV_FILE_BYTES, parse_env_file};

/// Variables that parse are the same when they are written and parsed again. Other files have problems, each with the
/// number of an existing line.
pub(crate) fn check(input: &[u8]) {
    match parse_env_file(input) {
        Ok(variables) => {
            let written = write(&variables);
            // Escapes can make the file longer than what is accepted.
            if written.len() <= MAX_ENV_FILE_BYTES {
                assert_eq!(parse_env_file(written.as_bytes()), Ok(variables));
            }
        }
        Err(problems) => {
            let lines = input.split(|byte| *byte == b'\n').count();
            for problem in &problems {
                let line = problem.path.strip_prefix("line ").and_then(|line| line.parse().ok());
                assert!(line.is_some_and(|line: usize| (1..=lines).contains(&line)), "{problem}");
            }
        }
    }
}

/// The file that sets these variables, with all values in double quotes.
fn write(variables: &BTreeMap<String, String>) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\r', "\\r");
    variables.iter().map(|(name, value)| format!("{name}=\"{}\"\n", escaped(value))).collect()
}
