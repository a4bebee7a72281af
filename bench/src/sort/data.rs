//! The files that are sorted: the same in every run.

use crate::Result;
use crate::statistics::Random;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Seed of all files.
pub(super) const SEED: u64 = 0x5eed;

/// Bytes of a record: those of the sort benchmark.
pub(super) const RECORD_LEN: usize = 100;

/// Random u64, little-endian, of `len` bytes in all.
pub(super) fn numbers(path: &Path, len: usize) -> Result<()> {
    let mut random = Random::new(SEED);
    write(path, |out| {
        for _ in 0..len / 8 {
            out.write_all(&random.next().to_le_bytes())?;
        }
        Ok(())
    })
}

/// Records as `gensort -a` makes them: a random key of 10 printable characters, two blanks, the
/// number of the record in 32 digits, two blanks, 52 letters, and the end of a line.
pub(super) fn records(path: &Path, count: usize) -> Result<()> {
    let mut random = Random::new(SEED);
    write(path, |out| {
        for number in 0..count {
            let mut record = [b'A' + (number % 26) as u8; RECORD_LEN];
            let mut bits = u128::from(random.next()) << 64 | u128::from(random.next());
            for byte in &mut record[..10] {
                *byte = b' ' + (bits % 95) as u8;
                bits /= 95;
            }
            record[10..12].copy_from_slice(b"  ");
            write!(&mut record[12..44], "{number:032X}")?;
            record[44..46].copy_from_slice(b"  ");
            record[98..].copy_from_slice(b"\r\n");
            out.write_all(&record)?;
        }
        Ok(())
    })
}

/// Lines with a random u64 in decimal.
pub(super) fn lines(path: &Path, count: usize) -> Result<()> {
    let mut random = Random::new(SEED);
    write(path, |out| {
        for _ in 0..count {
            writeln!(out, "{}", random.next())?;
        }
        Ok(())
    })
}

fn write(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    fill(&mut out)?;
    Ok(out.into_inner()?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_they_are_said_to_be() {
        let path = std::env::temp_dir().join(format!("granule-bench-data-{}", std::process::id()));
        records(&path, 3).expect("room on the disk");
        let text = std::fs::read(&path).expect("it is there");
        assert_eq!(text.len(), 3 * RECORD_LEN);
        for (number, record) in text.chunks(RECORD_LEN).enumerate() {
            assert!(record[..98].iter().all(|byte| (b' '..=b'~').contains(byte)));
            assert_eq!(record[10..46], *format!("  {number:032X}  ").as_bytes());
            assert!(record.ends_with(b"\r\n"));
        }
        lines(&path, 5).expect("room on the disk");
        let text = std::fs::read_to_string(&path).expect("it is text");
        assert!(text.lines().count() == 5 && text.lines().all(|line| line.parse::<u64>().is_ok()));
        numbers(&path, 80).expect("room on the disk");
        assert_eq!(std::fs::read(&path).expect("it is there").len(), 80);
        std::fs::remove_file(&path).expect("it is ours");
    }
}
