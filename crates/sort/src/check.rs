//! Is a file sorted, and if not, where is the first place?
#![forbid(unsafe_code)]

use crate::external::{Cut, Error, Form, Input, Stage, Watch};
use std::path::Path;

/// Bytes that are read at once.
const BLOCK_LEN: usize = 4 << 20;

/// What was found in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Elements that were looked at: all, or those up to the disorder.
    pub elements: u64,
    /// The first place that is out of order.
    pub disorder: Option<Disorder>,
}

/// An element that should not be where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disorder {
    /// Its number, from 0 on.
    pub element: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// It is no lower than the one before but equal, and only one of them should be there.
    pub is_equal: bool,
}

/// Looks through a file, up to the first element that comes before the one in front of it.
///
/// ```
/// use granule_sort::check::{Disorder, check_file};
/// use granule_sort::external::Unwatched;
/// use granule_sort::lines::Lines;
/// # let path = std::env::temp_dir().join(format!("granule-check-{}", std::process::id()));
/// std::fs::write(&path, "a\nc\nb\n")?;
/// let disorder = Disorder { element: 2, offset: 4, is_equal: false };
/// assert_eq!(check_file(&Lines::new(), &path, &Unwatched)?.disorder, Some(disorder));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of reading; a file that has not a whole number of elements; `Changed`, if somebody else
/// has written to it meanwhile: what was found is true of neither the old content nor the new one.
pub fn check_file<F: Form>(form: &F, path: &Path, watch: &dyn Watch) -> Result<Checked, Error> {
    let input = Input::open(path)?;
    if let Cut::Width(width) = form.cut() {
        input.check_whole(width)?;
    }
    watch.begin(Stage::Check, input.len());
    let checked = look_through(form, &input, watch)?;
    input.check_unchanged()?;
    Ok(checked)
}

fn look_through<F: Form>(form: &F, input: &Input, watch: &dyn Watch) -> Result<Checked, Error> {
    let mut checking = Checking { form, before: None, number: 0, offset: 0 };
    let (mut block, mut at) = (Vec::new(), 0);
    while at < input.len() {
        if watch.is_stopped() {
            return Err(Error::Stopped);
        }
        let kept = block.len();
        let len = (input.len() - at).min(BLOCK_LEN as u64) as usize;
        block.resize(kept + len, 0);
        input.read(&mut block[kept..], at)?;
        at += len as u64;
        if let Cut::Separator(separator) = form.cut()
            && at == input.len()
            && block.last().is_some_and(|last| *last != separator)
        {
            block.push(separator);
        }
        let (used, disorder) = checking.look_at(&block);
        if disorder.is_some() {
            return Ok(Checked { elements: checking.number, disorder });
        }
        block.drain(..used);
        watch.advance(len as u64);
    }
    Ok(Checked { elements: checking.number, disorder: None })
}

/// How far the looking is.
struct Checking<'a, F> {
    form: &'a F,
    /// The last element of the block before.
    before: Option<Vec<u8>>,
    number: u64,
    offset: u64,
}

impl<F: Form> Checking<'_, F> {
    /// Looks at the whole elements of a block; says how many bytes they are.
    fn look_at(&mut self, block: &[u8]) -> (usize, Option<Disorder>) {
        let (form, cut) = (self.form, self.form.cut());
        let kept = self.before.take();
        let mut before = kept.as_deref();
        let mut at = 0;
        while let Some(len) = cut.first_len(&block[at..]) {
            let element = cut.body(&block[at..at + len]);
            if let Some(before) = before
                && let Some(is_equal) = is_out_of_order(form, before, element)
            {
                let offset = self.offset + at as u64;
                return (at, Some(Disorder { element: self.number, offset, is_equal }));
            }
            before = Some(element);
            self.number += 1;
            at += len;
        }
        self.offset += at as u64;
        self.before = before.map(<[u8]>::to_vec);
        (at, None)
    }
}

/// Whether an element may not stand behind another; true in it if that is so because it is equal.
fn is_out_of_order<F: Form>(form: &F, before: &[u8], element: &[u8]) -> Option<bool> {
    let ranks = form.rank(before).cmp(&form.rank(element));
    let order =
        if ranks.is_eq() && !form.rank_decides() { form.compare(before, element) } else { ranks };
    match order {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => form.is_unique().then_some(true),
        std::cmp::Ordering::Greater => Some(false),
    }
}
