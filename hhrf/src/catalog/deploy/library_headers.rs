//! Checks of a library's ELF or Mach-O headers before anything loads it: `dlopen` of a truncated file raises SIGBUS.

use object::LittleEndian;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Architecture, BinaryFormat, Object, ObjectKind, ObjectSymbol, elf};

use fezz_abi::symbol;

/// Why a library is not even tried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("the library is empty")]
    Empty,
    #[error("the library is not an object file: {0}")]
    Format(#[from] object::Error),
    #[error("the library is a {found:?} file, this system loads {expected:?}")]
    OtherFormat { found: BinaryFormat, expected: BinaryFormat },
    #[error("the library is a {0:?} and not a shared library; set crate-type = [\"cdylib\"]")]
    OtherKind(ObjectKind),
    #[error("the library is built for {found:?}, this host runs on {expected}")]
    OtherArchitecture { found: Architecture, expected: &'static str },
    #[error("the library is cut short: its {part} ends at byte {end}, the file at byte {len}")]
    Truncated { part: &'static str, end: u64, len: u64 },
    #[error("the library does not export `{0}`; is it built with #[fezz_function] and crate-type cdylib?")]
    MissingSymbol(&'static str),
}

/// How every ELF file begins that this host could load: magic, 64 bits, little-endian.
const ELF_64_LITTLE_ENDIAN: [u8; 6] = *b"\x7fELF\x02\x01";

/// Checks the headers of a library that is in `data` as a whole.
pub(super) fn check(data: &[u8]) -> Result<(), HeaderError> {
    if data.is_empty() {
        return Err(HeaderError::Empty);
    }
    let expected = BinaryFormat::native_object();
    if data.starts_with(&ELF_64_LITTLE_ENDIAN) {
        elf_extent(data)?;
    }
    let file = object::File::parse(data)?;
    if file.format() != expected {
        return Err(HeaderError::OtherFormat { found: file.format(), expected });
    }
    if file.kind() != ObjectKind::Dynamic {
        return Err(HeaderError::OtherKind(file.kind()));
    }
    if !is_native(file.architecture()) {
        return Err(HeaderError::OtherArchitecture {
            found: file.architecture(),
            expected: std::env::consts::ARCH,
        });
    }
    for name in [symbol::ABI_VERSION, symbol::FETCH] {
        if !exports(&file, name) {
            return Err(HeaderError::MissingSymbol(name));
        }
    }
    Ok(())
}

/// Whether all that the loader maps, and the section table behind it, lies inside the file. The section table stands
/// at the very end, so that a file without its last bytes is noticed too.
fn elf_extent(data: &[u8]) -> Result<(), HeaderError> {
    let within = |part, offset: u64, size: u64| {
        let (end, len) = (offset.saturating_add(size), data.len() as u64);
        if end > len { Err(HeaderError::Truncated { part, end, len }) } else { Ok(()) }
    };
    within("ELF header", 0, size_of::<elf::FileHeader64<LittleEndian>>() as u64)?;
    let header = elf::FileHeader64::<LittleEndian>::parse(data)?;
    let endian = header.endian()?;
    let sections = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    within("section table", header.e_shoff(endian), sections)?;
    let programs = u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian));
    within("program table", header.e_phoff(endian), programs)?;
    for segment in header.program_headers(endian, data)? {
        within("segment", segment.p_offset(endian), segment.p_filesz(endian))?;
    }
    for section in header.section_headers(endian, data)? {
        if let Some((offset, size)) = section.file_range(endian) {
            within("section", offset, size)?;
        }
    }
    Ok(())
}

fn exports(file: &object::File<'_>, name: &str) -> bool {
    // Mach-O writes C symbols with a leading underscore.
    let prefix = if file.format() == BinaryFormat::MachO { "_" } else { "" };
    file.dynamic_symbols().chain(file.symbols()).any(|found| {
        found.is_definition() && found.name().ok().and_then(|text| text.strip_prefix(prefix)) == Some(name)
    })
}

const fn is_native(architecture: Architecture) -> bool {
    let native = if cfg!(target_arch = "x86_64") { Architecture::X86_64 } else { Architecture::Aarch64 };
    architecture as u32 == native as u32
}
