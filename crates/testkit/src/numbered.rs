//! [`Numbered`]: builds of one function that differ in a number.

use std::path::Path;

use sha2::{Digest, Sha256};

/// Responds with the numbers at both ends of its data, so that a mix of two builds is detected.
const SOURCE: &str = r#"
#include "fezz.h"
#include <string.h>
static const volatile struct { char head[16]; char filling[262144]; char tail[16]; } MARK =
    {"<head-00000000>", {1}, "<tail-00000000>"};
static char answer[17];
__attribute__((constructor)) static void read_marks(void) {
    for (int i = 0; i < 8; i++) {
        answer[i] = MARK.head[6 + i];
        answer[9 + i] = MARK.tail[6 + i];
    }
    answer[8] = '-';
}
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    response->status = 200;
    response->body = fezz_slice((const uint8_t *)answer, sizeof answer);
}
"#;

/// The compiled library; its builds are copies with the number replaced.
#[derive(Clone, Debug)]
pub struct Numbered(Vec<u8>);

impl Numbered {
    /// Compiles it in `folder`.
    #[track_caller]
    pub fn new(folder: &Path) -> Self {
        Self::from_library(&crate::c_library(folder, "numbered", SOURCE))
    }

    /// Uses another library with the same marks.
    #[track_caller]
    pub fn from_library(library: &Path) -> Self {
        Self(std::fs::read(library).expect("the library can be read"))
    }

    /// The build with this number.
    #[track_caller]
    pub fn build(&self, number: u64) -> Vec<u8> {
        let mut library = self.0.clone();
        for mark in ["<head-", "<tail-"] {
            let at = library.windows(mark.len()).position(|bytes| bytes == mark.as_bytes());
            let at = at.expect("the mark is in the library") + mark.len();
            library[at..at + 8].copy_from_slice(format!("{number:08}").as_bytes());
        }
        library
    }

    /// The number of the build that gave this response; none for a mix of two builds, or for anything else.
    pub fn number(answer: &[u8]) -> Option<u64> {
        let (head, tail) = std::str::from_utf8(answer).ok()?.split_once('-')?;
        (head == tail).then(|| head.parse().ok())?
    }
}

/// The SHA-256 in hexadecimal, as the host shows it.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
