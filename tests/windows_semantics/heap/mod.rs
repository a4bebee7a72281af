//! The table's second half: heaps. The words, and how a row is run.

mod ours;
#[cfg(windows)]
mod real;
mod rows;

use super::api::Expect;
use super::catch::{self, RETURN};
use super::step::{Access, VIOLATION};

/// The family. Addresses and handles are numbers, errors too.
pub(crate) trait Api: Sync {
    fn name(&self) -> &'static str;
    fn expect(&self) -> Expect;
    /// Whether a wrong pointer ends the process.
    fn is_fatal(&self) -> bool;
    fn create(&self, options: u32, initial: usize, maximum: usize) -> Result<usize, u32>;
    fn process(&self) -> usize;
    fn destroy(&self, heap: usize) -> Result<(), u32>;
    fn alloc(&self, heap: usize, flags: u32, size: usize) -> Result<usize, u32>;
    fn realloc(&self, heap: usize, flags: u32, block: usize, size: usize) -> Result<usize, u32>;
    fn free(&self, heap: usize, block: usize) -> Result<(), u32>;
    fn size(&self, heap: usize, block: usize) -> Result<usize, u32>;
    fn validate(&self, heap: usize, block: usize) -> bool;
    fn compact(&self, heap: usize) -> Result<usize, u32>;
    fn lock(&self, heap: usize) -> Result<(), u32>;
    fn unlock(&self, heap: usize) -> Result<(), u32>;
    /// Blocks in use, their bytes, and how the walk ends.
    fn walk(&self, heap: usize) -> (usize, usize, u32);
}

#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    source: &'static str,
    /// The row passes wrong pointers.
    is_fatal: bool,
    steps: &'static [Step],
}

const fn row(name: &'static str, source: &'static str, steps: &'static [Step]) -> Row {
    Row { name, source, is_fatal: false, steps }
}

/// A call and its answers: of Windows, of Wine 8 where it is known to differ, and of ours where it
/// has to; with the reason.
#[derive(Clone, Copy)]
struct Step {
    call: Call,
    documented: Answer,
    wine: Option<(Answer, &'static str)>,
    ours: Option<(Answer, &'static str)>,
}

const fn is(call: Call, documented: Answer) -> Step {
    Step { call, documented, wine: None, ours: None }
}

const fn differs(call: Call, documented: Answer, wine: Answer, source: &'static str) -> Step {
    Step { wine: Some((wine, source)), ..is(call, documented) }
}

const fn ours(call: Call, documented: Answer, ours: Answer, why: &'static str) -> Step {
    Step { ours: Some((ours, why)), ..is(call, documented) }
}

#[derive(Clone, Copy, Debug)]
enum Heap {
    /// The heap of the process.
    Process,
    /// The one in a slot.
    At(usize),
}

#[derive(Clone, Copy, Debug)]
enum Block {
    Null,
    /// The one in a slot, and so many bytes behind its start.
    At(usize, usize),
    /// A local variable.
    Stack,
}

#[derive(Clone, Copy, Debug)]
enum Call {
    /// slot, options, initial, maximum
    Create(usize, u32, usize, usize),
    Destroy(Heap),
    /// heap, slot, flags, size
    Alloc(Heap, usize, u32, usize),
    /// heap, slot of the old and the new block, flags, size
    ReAlloc(Heap, usize, u32, usize),
    Free(Heap, Block),
    Size(Heap, Block),
    /// Null: the heap.
    Validate(Heap, Block),
    Compact(Heap),
    Lock(Heap),
    Unlock(Heap),
    Walk(Heap),
    /// Takes blocks of a size until there are so many, or no more; then frees all of them.
    FillUp(Heap, usize, usize),
    /// Writes a byte to the first bytes of a block.
    Put(Block, usize, u8),
    /// Whether bytes of a block all are this one.
    Holds(Block, usize, u8),
    /// Writes an instruction that returns, and calls it.
    Execute(Block),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Error(u32),
    /// An address, a multiple of 16, that is remembered.
    New,
    /// The same address as before.
    Same,
    Number(usize),
    /// How many blocks, from the least to the most, and the error of one more.
    Blocks(usize, usize, u32),
    Truth(bool),
    /// Blocks in use, their bytes, the last error.
    Walked(usize, usize, u32),
    /// The page cannot be executed.
    NoCode,
}

struct Run {
    api: &'static dyn Api,
    heaps: [usize; 4],
    blocks: [usize; 8],
}

fn run_row(api: &'static dyn Api, row: &Row) -> Vec<String> {
    if row.is_fatal && api.is_fatal() {
        println!("skipped: {}: {} ends the process", row.name, api.name());
        return Vec::new();
    }
    let mut run = Run { api, heaps: [0; 4], blocks: [0; 8] };
    let steps = row.steps.iter().enumerate();
    let wrong = steps.filter_map(|(number, step)| {
        let sentence = run.step(step).err()?;
        Some(format!("  {} [{}], step {}: {sentence}", row.name, row.source, number + 1))
    });
    let wrong = wrong.collect();
    for heap in run.heaps.into_iter().filter(|&heap| heap != 0) {
        api.destroy(heap).expect("the row has made it");
    }
    wrong
}

impl Run {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        let got = self.call(step.call);
        let is_native = self.api.expect() == Expect::DocumentedOrWine;
        let other = match (self.api.name(), is_native) {
            ("granule::win32", _) => step.ours,
            (_, true) => step.wine,
            _ => None,
        };
        if let Some((answer, why)) = other
            && fits(answer, got)
        {
            println!("{} differs: {:x?}: {got:x?}: {why}", self.api.name(), step.call);
            return Ok(());
        }
        // Ours has one answer.
        let may_be = step.ours.is_none() || self.api.name() != "granule::win32";
        if may_be && fits(step.documented, got) {
            return Ok(());
        }
        Err(format!("{:x?}\n    expected {:x?}\n    got      {got:x?}", step.call, step.documented))
    }

    fn call(&mut self, call: Call) -> Answer {
        let api = self.api;
        let done = |answer: Result<(), u32>| answer.map_or_else(Answer::Error, |()| Answer::Done);
        let number = |answer: Result<usize, u32>| answer.map_or_else(Answer::Error, Answer::Number);
        match call {
            Call::Create(slot, options, initial, maximum) => {
                let heap = api.create(options, initial, maximum);
                done(heap.map(|heap| self.heaps[slot] = heap))
            }
            Call::Destroy(heap) => {
                let answer = api.destroy(self.heap(heap));
                if let (Heap::At(slot), true) = (heap, answer.is_ok()) {
                    self.heaps[slot] = 0;
                }
                done(answer)
            }
            Call::Alloc(heap, slot, flags, size) => {
                self.keep(slot, api.alloc(self.heap(heap), flags, size), 0)
            }
            Call::ReAlloc(heap, slot, flags, size) => {
                let old = self.blocks[slot];
                self.keep(slot, api.realloc(self.heap(heap), flags, old, size), old)
            }
            Call::Free(heap, block) => done(api.free(self.heap(heap), self.block(block))),
            Call::Size(heap, block) => number(api.size(self.heap(heap), self.block(block))),
            Call::Validate(heap, block) => {
                Answer::Truth(api.validate(self.heap(heap), self.block(block)))
            }
            Call::Compact(heap) => done(api.compact(self.heap(heap)).map(drop)),
            Call::Lock(heap) => done(api.lock(self.heap(heap))),
            Call::Unlock(heap) => done(api.unlock(self.heap(heap))),
            Call::Walk(heap) => {
                let (count, bytes, code) = api.walk(self.heap(heap));
                Answer::Walked(count, bytes, code)
            }
            Call::FillUp(heap, size, most) => self.fill_up(self.heap(heap), size, most),
            Call::Put(block, len, byte) => {
                let mut all = self.block(block)..self.block(block) + len;
                Answer::Truth(all.all(|addr| catch::write(addr, byte).is_ok()))
            }
            Call::Holds(block, len, byte) => {
                let mut all = self.block(block)..self.block(block) + len;
                Answer::Truth(all.all(|addr| catch::read(addr) == Ok(byte)))
            }
            Call::Execute(block) => {
                let start = self.block(block);
                for (&byte, addr) in RETURN.iter().zip(start..) {
                    catch::write(addr, byte).expect("a block in use");
                }
                match catch::execute(start) {
                    Ok(()) => Answer::Done,
                    Err(caught) => {
                        assert_eq!((caught.code, caught.addr), (VIOLATION, start));
                        assert!(caught.access.is_none_or(|access| access == Access::Executing));
                        Answer::NoCode
                    }
                }
            }
        }
    }

    fn fill_up(&self, heap: usize, size: usize, most: usize) -> Answer {
        let mut blocks = Vec::new();
        let mut code = 0;
        while blocks.len() < most && code == 0 {
            match self.api.alloc(heap, 0, size) {
                Ok(block) => blocks.push(block),
                Err(error) => code = error,
            }
        }
        for &block in &blocks {
            self.api.free(heap, block).expect("a block in use");
        }
        Answer::Blocks(blocks.len(), blocks.len(), code)
    }

    fn keep(&mut self, slot: usize, answer: Result<usize, u32>, old: usize) -> Answer {
        match answer {
            Err(code) => Answer::Error(code),
            Ok(block) if block == old => Answer::Same,
            Ok(block) => {
                assert!(block != 0 && block.is_multiple_of(16), "{block:#x}");
                self.blocks[slot] = block;
                Answer::New
            }
        }
    }

    fn heap(&self, heap: Heap) -> usize {
        match heap {
            Heap::Process => self.api.process(),
            Heap::At(slot) => self.heaps[slot],
        }
    }

    fn block(&self, block: Block) -> usize {
        match block {
            Block::Null => 0,
            Block::At(slot, offset) => self.blocks[slot] + offset,
            Block::Stack => (&raw const block).addr().next_multiple_of(16),
        }
    }
}

fn fits(answer: Answer, got: Answer) -> bool {
    match (answer, got) {
        (Answer::Blocks(least, most, code), Answer::Blocks(count, _, told)) => {
            (least..=most).contains(&count) && code == told
        }
        // Whether a block moves is nobody's business where the row does not say.
        (Answer::New, Answer::Same) => true,
        (answer, got) => answer == got,
    }
}

fn compare(api: &'static dyn Api) {
    let _alone = super::ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let wrong: Vec<String> = rows::ROWS.iter().flat_map(|row| run_row(api, row)).collect();
    assert!(wrong.is_empty(), "{}: {} wrong:\n{}", api.name(), wrong.len(), wrong.join("\n"));
}

#[test]
fn granules_heaps_answer_as_those_of_windows() {
    compare(&ours::Ours);
}

#[cfg(windows)]
#[test]
fn the_systems_heaps_answer_as_documented() {
    compare(&real::Real);
}
