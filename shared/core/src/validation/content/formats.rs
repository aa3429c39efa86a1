//! What a file is by its first bytes, and what its name promises.

/// A file format that is known by how it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// Name for people.
    pub(super) name: &'static str,
    /// Where the signature stands.
    offset: usize,
    /// The signature.
    magic: &'static [u8],
    /// Extensions that promise this format.
    extensions: &'static [&'static str],
    /// Whether its content is compressed or encrypted by design, or may be.
    pub(super) dense: bool,
    /// Bytes that stand in the last kilobyte of every whole file.
    pub(super) ending: Option<&'static [u8]>,
}

const fn dense(name: &'static str, magic: &'static [u8], extensions: &'static [&'static str]) -> Format {
    Format {
        name,
        offset: 0,
        magic,
        extensions,
        dense: true,
        ending: None,
    }
}

const fn plain(name: &'static str, magic: &'static [u8], extensions: &'static [&'static str]) -> Format {
    Format {
        dense: false,
        ..dense(name, magic, extensions)
    }
}

const ZIP: &[&str] = &[
    "zip", "docx", "xlsx", "pptx", "odt", "ods", "odp", "jar", "war", "apk", "epub", "whl", "nupkg", "vsix",
];

/// Signatures from the formats' own specifications.
const FORMATS: &[Format] = &[
    Format {
        ending: Some(b"PK\x05\x06"),
        ..dense("ZIP", b"PK\x03\x04", ZIP)
    },
    Format {
        ending: Some(b"PK\x05\x06"),
        ..dense("empty ZIP", b"PK\x05\x06", ZIP)
    },
    Format {
        ending: Some(b"%%EOF"),
        ..dense("PDF", b"%PDF-", &["pdf"])
    },
    Format {
        ending: Some(b"IEND"),
        ..dense("PNG", b"\x89PNG\r\n\x1a\n", &["png"])
    },
    Format {
        ending: Some(b"\xff\xd9"),
        ..dense("JPEG", b"\xff\xd8\xff", &["jpg", "jpeg"])
    },
    Format {
        ending: Some(b"PAR1"),
        ..dense("Parquet", b"PAR1", &["parquet"])
    },
    Format {
        offset: 4,
        ..dense("MP4", b"ftyp", &["mp4", "m4a", "m4v", "heic", "avif"])
    },
    Format {
        offset: 257,
        ..dense("tar", b"ustar", &["tar"])
    },
    Format {
        offset: 8,
        ..dense("WebP", b"WEBP", &["webp"])
    },
    dense("GIF", b"GIF8", &["gif"]),
    dense("gzip", b"\x1f\x8b", &["gz", "tgz"]),
    dense("bzip2", b"BZh", &["bz2"]),
    dense("xz", b"\xfd7zXZ\0", &["xz"]),
    dense("zstd", b"\x28\xb5\x2f\xfd", &["zst"]),
    dense("LZ4", b"\x04\x22\x4d\x18", &["lz4"]),
    dense("7-Zip", b"7z\xbc\xaf\x27\x1c", &["7z"]),
    dense("RAR", b"Rar!\x1a\x07", &["rar"]),
    dense("Ogg", b"OggS", &["ogg", "oga", "ogv", "opus"]),
    dense("FLAC", b"fLaC", &["flac"]),
    dense("MP3", b"ID3", &[]),
    dense("MPEG audio", b"\xff\xfb", &[]),
    dense("Matroska", b"\x1a\x45\xdf\xa3", &["mkv", "webm"]),
    dense("WOFF2", b"wOF2", &["woff2"]),
    dense("WOFF", b"wOFF", &["woff"]),
    dense("ORC", b"ORC", &["orc"]),
    dense("Avro", b"Obj\x01", &["avro"]),
    dense("HDF5", b"\x89HDF\r\n\x1a\n", &["h5", "hdf5"]),
    dense(
        "OLE document",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        &["doc", "xls", "ppt", "msg", "msi"],
    ),
    dense("SQLite", b"SQLite format 3\0", &["sqlite", "sqlite3"]),
    dense("PostgreSQL dump", b"PGDMP", &[]),
    dense("Git pack", b"PACK", &["pack"]),
    dense("ELF", b"\x7fELF", &[]),
    dense("Windows program", b"MZ", &["exe", "dll"]),
    dense("age", b"age-encryption.org/", &["age"]),
    dense("OpenSSL", b"Salted__", &[]),
    dense("DER", b"\x30\x82", &["der", "cer", "crt", "p12", "pfx"]),
    dense("KeePass", b"\x03\xd9\xa2\x9a", &["kdbx"]),
    plain("BMP", b"BM", &["bmp"]),
    plain("WAV", b"RIFF", &["wav"]),
    plain("RTF", b"{\\rtf", &["rtf"]),
];

const TEXT: &[&str] = &[
    "txt",
    "csv",
    "tsv",
    "json",
    "jsonl",
    "ndjson",
    "xml",
    "html",
    "htm",
    "css",
    "js",
    "ts",
    "md",
    "rst",
    "log",
    "sql",
    "yaml",
    "yml",
    "toml",
    "ini",
    "cfg",
    "conf",
    "properties",
    "env",
    "py",
    "rs",
    "go",
    "java",
    "c",
    "h",
    "cpp",
    "sh",
    "rb",
    "php",
    "tf",
    "tex",
    "eml",
    "ics",
    "vcf",
    "svg",
    "pem",
    "rtf",
    "geojson",
    "srt",
];

/// Extensions of files that are encrypted or compressed on purpose, in formats without a signature.
const OPAQUE: &[&str] = &[
    "gpg", "pgp", "age", "asc", "p7m", "kdbx", "enc", "luks", "tde", "br", "brotli",
];

/// Second extensions that programs append on purpose.
const APPENDED_ON_PURPOSE: &[&str] = &[
    "bak", "old", "orig", "tmp", "part", "map", "sig", "md5", "sha1", "sha256", "sha512", "meta", "metadata",
    "idx", "index", "crc", "tpl", "tmpl", "template", "j2", "sample", "example", "dist", "lock", "min", "in",
    "out", "swp", "gpg", "pgp", "age", "asc", "enc", "manifest", "checksum",
];

/// Extensions that known ransomware appends, as reported by the public trackers of such families.
const RANSOMWARE: &[&str] = &[
    "lockbit",
    "lockbit3",
    "encrypted",
    "encrypt",
    "enc_data",
    "crypted",
    "crypt",
    "locked",
    "lockedfile",
    "wncry",
    "wcry",
    "wnry",
    "ryk",
    "ryuk",
    "conti",
    "akira",
    "blackcat",
    "royal",
    "clop",
    "cl0p",
    "revil",
    "sodinokibi",
    "phobos",
    "dharma",
    "cerber",
    "locky",
    "zepto",
    "odin",
    "cryptolocker",
    "crypto",
    "deadbolt",
    "medusa",
    "rhysida",
    "play",
    "babuk",
    "babyk",
    "hive",
    "stop",
    "djvu",
    "makop",
    "mallox",
    "globeimposter",
    "ransom",
    "ransomed",
    "pay2key",
    "darkside",
    "ragnar",
    "blackbasta",
    "basta",
    "trigona",
    "qilin",
    "cactus",
    "8base",
    "inc",
];

/// What a name promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// Text.
    Text,
    /// A format with a signature.
    Signed,
    /// Content that cannot be told from noise, on purpose.
    Opaque,
    /// Nothing that is known here.
    Nothing,
}

/// The last path segment of a key.
pub(super) fn file_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// The last extension of a key, in lower case, and the one before it.
pub(super) fn extensions(key: &str) -> (Option<String>, Option<String>) {
    let mut parts = file_name(key).rsplit('.');
    let mut last = parts.next().map(str::to_ascii_lowercase);
    let mut inner = parts.next().map(str::to_ascii_lowercase);
    // The part before the first dot is the name itself.
    match (inner.is_some(), parts.next().is_some()) {
        (false, _) => last = None,
        (true, false) => inner = None,
        (true, true) => {}
    }
    (last, inner)
}

/// What this extension promises.
pub(super) fn promise(extension: Option<&str>) -> Promise {
    match extension {
        None => Promise::Nothing,
        Some(e) if TEXT.contains(&e) => Promise::Text,
        Some(e) if OPAQUE.contains(&e) => Promise::Opaque,
        Some(e) if FORMATS.iter().any(|format| format.extensions.contains(&e)) => Promise::Signed,
        Some(_) => Promise::Nothing,
    }
}

/// Whether known ransomware appends this extension.
pub(super) fn is_ransomware(extension: &str) -> bool {
    RANSOMWARE.contains(&extension)
}

/// Whether a file of a known kind was given a second, unknown extension: the mark of a mass rename.
pub(super) fn renamed_to(key: &str) -> Option<String> {
    let (last, inner) = extensions(key);
    let last = last?;
    let known = promise(inner.as_deref()) != Promise::Nothing;
    let explained = promise(Some(&last)) != Promise::Nothing
        || APPENDED_ON_PURPOSE.contains(&last.as_str())
        || is_number(&last);
    (known && !explained).then_some(last)
}

/// Rotated logs and split archives end in numbers.
fn is_number(extension: &str) -> bool {
    extension.bytes().all(|b| b.is_ascii_digit())
}

/// The format that these first bytes begin.
pub(super) fn sniff(head: &[u8]) -> Option<&'static Format> {
    FORMATS.iter().find(|format| {
        head.get(format.offset..)
            .is_some_and(|rest| rest.starts_with(format.magic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_come_from_the_last_segment() {
        let read = |key| {
            let (last, inner) = extensions(key);
            (last.unwrap_or_default(), inner.unwrap_or_default())
        };
        assert_eq!(read("a.b/report.PDF"), ("pdf".to_owned(), String::new()));
        assert_eq!(read("x/report.pdf.Akira"), ("akira".to_owned(), "pdf".to_owned()));
        assert_eq!(read("x.y/README"), (String::new(), String::new()));
        assert_eq!(read(""), (String::new(), String::new()));
    }

    #[test]
    fn a_rename_is_an_unknown_extension_after_a_known_one() {
        assert_eq!(renamed_to("a/report.pdf.k2x9"), Some("k2x9".to_owned()));
        for ordinary in [
            "report.pdf",
            "data.tar.gz",
            "app.js.map",
            "x.log.1",
            "v1.2.bin",
            "dump.sql.gpg",
        ] {
            assert_eq!(renamed_to(ordinary), None, "{ordinary}");
        }
    }
}
