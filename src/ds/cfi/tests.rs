use super::*;
use gimli::{BaseAddresses, EhFrame, LittleEndian, UnwindContext, UnwindSection};
use object::{Object, ObjectSection, ObjectSegment};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

/// The unwind tables of a file, laid out as the loader would at bias 0.
struct Image {
    bytes: Vec<u8>,
    address: u64,
    header: u64,
    frames_address: u64,
    frames: Vec<u8>,
}

impl Image {
    fn of(path: &Path) -> Self {
        let file = std::fs::read(path).expect("the file is there");
        let file = object::File::parse(&*file).expect("an ELF file");
        let section = |name| file.section_by_name(name).expect("unwind tables");
        let header = section(".eh_frame_hdr").address();
        let segment = file.segments().find(|segment| {
            (segment.address()..segment.address() + segment.size()).contains(&header)
        });
        let segment = segment.expect("the header is loaded");
        Image {
            bytes: segment.data().expect("bytes of the segment").to_vec(),
            address: segment.address(),
            header,
            frames_address: section(".eh_frame").address(),
            frames: section(".eh_frame").data().expect("bytes of the section").to_vec(),
        }
    }

    fn table(&self) -> Table<'_> {
        Table::new(&self.bytes, self.address, self.header)
    }
}

type Bytes<'a> = gimli::EndianSlice<'a, LittleEndian>;

/// Calls `visit` with every row that gimli finds, and the unwind section.
fn for_each_row(
    image: &Image,
    mut visit: impl FnMut(&EhFrame<Bytes<'_>>, &gimli::UnwindTableRow<usize>),
) {
    let frames = EhFrame::new(&image.frames, LittleEndian);
    let bases =
        BaseAddresses::default().set_eh_frame(image.frames_address).set_eh_frame_hdr(image.header);
    let mut context = Box::new(UnwindContext::new());
    let mut entries = frames.entries(&bases);
    while let Some(entry) = entries.next().expect("gimli reads the section") {
        let gimli::CieOrFde::Fde(partial) = entry else { continue };
        let entry = partial.parse(EhFrame::cie_from_offset).expect("gimli reads the entry");
        let mut rows =
            entry.rows(&frames, &bases, &mut context).expect("gimli starts on the entry");
        while let Some(row) = rows.next_row().expect("gimli runs the entry") {
            visit(&frames, row);
        }
    }
}

fn assert_same_code(
    table: &Table<'_>,
    code: Code,
    frames: &EhFrame<Bytes<'_>>,
    theirs: gimli::UnwindExpression<usize>,
) {
    let theirs = theirs.get(frames).expect("in the section");
    assert_eq!(table.code(code).expect("in the mapping"), theirs.0.slice());
}

fn assert_same_rule(
    table: &Table<'_>,
    ours: Rule,
    frames: &EhFrame<Bytes<'_>>,
    theirs: gimli::RegisterRule<usize>,
) {
    use gimli::RegisterRule as Theirs;
    match (ours, theirs) {
        (Rule::Unspecified | Rule::Undefined, Theirs::Undefined)
        | (Rule::Same, Theirs::SameValue) => {}
        (Rule::At(ours), Theirs::Offset(theirs)) | (Rule::Is(ours), Theirs::ValOffset(theirs)) => {
            assert_eq!(i64::from(ours), theirs);
        }
        (Rule::In(ours), Theirs::Register(theirs)) => assert_eq!(u16::from(ours), theirs.0),
        (Rule::AtExpression(ours), Theirs::Expression(theirs))
        | (Rule::IsExpression(ours), Theirs::ValExpression(theirs)) => {
            assert_same_code(table, ours, frames, theirs);
        }
        (ours, theirs) => panic!("we say {ours:?}, gimli says {theirs:?}"),
    }
}

/// Compares the rules at the first and the last address of every row.
fn assert_same_as_gimli(path: &Path) -> usize {
    let image = Image::of(path);
    let table = image.table();
    let mut compared = 0;
    for_each_row(&image, |frames, theirs| {
        if theirs.start_address() >= theirs.end_address() {
            return;
        }
        for address in [theirs.start_address(), theirs.end_address() - 1] {
            let ours = table.row(address + 1);
            let ours = ours.unwrap_or_else(|| panic!("no row at {address:#x} of {path:?}"));
            match (ours.rules.cfa, theirs.cfa()) {
                (Cfa::Offset(our_register, our_offset), cfa) => {
                    let register = gimli::Register(u16::from(our_register));
                    let ours = gimli::CfaRule::RegisterAndOffset { register, offset: our_offset };
                    assert_eq!(&ours, cfa, "at {address:#x} of {path:?}");
                }
                (Cfa::Expression(ours), gimli::CfaRule::Expression(theirs)) => {
                    assert_same_code(&table, ours, frames, *theirs);
                }
                (ours, theirs) => panic!("at {address:#x}: {ours:?}, gimli says {theirs:?}"),
            }
            for (register, ours) in (0u16..).zip(ours.rules.registers) {
                assert_same_rule(&table, ours, frames, theirs.register(gimli::Register(register)));
            }
            compared += 1;
        }
    });
    compared
}

/// The files of `names` that are installed; says which are not.
fn installed(names: &[&str]) -> Vec<PathBuf> {
    const FOLDERS: [&str; 4] = ["/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib"];
    let find = |name: &&str| {
        let path = FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|p| p.exists());
        if path.is_none() {
            println!("skipped: {name} is not installed");
        }
        path
    };
    names.iter().filter_map(find).collect()
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "the tables of x86-64 are what is read")]
fn rows_are_those_of_gimli() {
    let mut paths =
        installed(&["libc.so.6", "libstdc++.so.6", "libm.so.6", "ld-linux-x86-64.so.2"]);
    paths.push(std::env::current_exe().expect("a path"));
    for path in paths {
        let compared = assert_same_as_gimli(&path);
        assert!(compared > 100, "only {compared} rows in {path:?}");
    }
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "the tables of x86-64 are what is read")]
fn nearly_all_rows_can_be_packed() {
    for path in installed(&["libc.so.6", "libstdc++.so.6"]) {
        let image = Image::of(&path);
        let (mut rows, mut packed) = (0u32, 0u32);
        for_each_row(&image, |_, row| {
            rows += 1;
            let ours = image.table().row(row.start_address() + 1);
            packed += u32::from(ours.is_some_and(|row| row.pack().is_some()));
        });
        assert!(packed * 100 > rows * 98, "{packed} of {rows} rows in {path:?}");
    }
}

/// A made-up stack: reads words whose value follows from their address.
fn made_up(address: u64) -> Option<u64> {
    (!address.is_multiple_of(64)).then(|| address.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "the tables of x86-64 are what is read")]
fn a_packed_row_steps_as_the_row_it_came_from() {
    let Some(path) = installed(&["libc.so.6"]).pop() else { return };
    let image = Image::of(&path);
    let frame = Frame { pc: 0x40_0001, sp: 0x7fff_1008, fp: 0x7fff_2018 };
    for_each_row(&image, |_, theirs| {
        let Some(row) = image.table().row(theirs.start_address() + 1) else { return };
        let Some(packed) = row.pack() else { return };
        let packed = PackedRow::from_bits(packed.to_bits());
        let full = match row.step(&frame.registers(), made_up) {
            Step::Caller(caller) => Frame::of(&caller).map_or(Step::Lost, Step::Caller),
            Step::End => Step::End,
            Step::Lost => Step::Lost,
        };
        assert_eq!(packed.step(frame, made_up), full, "{row:?}");
    });
}

fn evaluate(code: &[u8], registers: &Registers) -> Option<u64> {
    expression::evaluate(code, None, registers, |address| Some(address + 1))
}

#[test]
fn the_expression_of_a_linkage_stub() {
    // rsp + 8 + 8 * (pc % 16 >= 11)
    let code = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
    let mut registers = Registers::default();
    registers.set(SP, 1000);
    registers.set(PC, 0x406);
    assert_eq!(evaluate(&code, &registers), Some(1008));
    registers.set(PC, 0x40b);
    assert_eq!(evaluate(&code, &registers), Some(1016));
}

#[test]
fn expressions_do_what_the_standard_says() {
    let none = Registers::default();
    let cases: [(&[u8], Option<u64>); 20] = [
        (&[0x3f, 0x31, 0x1c], Some(14)),
        (&[0x31, 0x32, 0x33, 0x17], Some(2)), // rotate: the second comes to the top
        (&[0x31, 0x32, 0x33, 0x17, 0x13], Some(1)),
        (&[0x31, 0x32, 0x16], Some(1)),
        (&[0x31, 0x32, 0x14], Some(1)),
        (&[0x34, 0x12, 0x1e], Some(16)),
        (&[0x09, 0xf8, 0x32, 0x1b], Some(-4i64 as u64)),
        (&[0x09, 0xf8, 0x32, 0x26], Some(-2i64 as u64)),
        (&[0x09, 0xf8, 0x19], Some(8)),
        (&[0x11, 0x7f], Some(u64::MAX)),
        (&[0x10, 0x80, 0x01, 0x23, 0x02], Some(130)),
        (&[0x0b, 0xfe, 0xff], Some(-2i64 as u64)),
        (&[0x38, 0x06], Some(9)),
        (&[0x31, 0x28, 1, 0, 0x35, 0x36], Some(6)), // taken: skips the 5
        (&[0x32, 0x31, 0x28, 1, 0, 0x35], Some(2)),
        (&[0x31, 0x30, 0x1b], None), // division by zero
        (&[0x22], None),             // nothing to add
        (&[0x2f, 0xfd, 0xff], None), // a loop
        (&[0x77, 0], None),          // an unknown register
        (&[0x08], None),             // a missing operand
    ];
    for (code, expected) in cases {
        assert_eq!(evaluate(code, &none), expected, "{code:x?}");
    }
    assert_eq!(evaluate(&[0x31; 17], &none), None, "too many values");
}

/// A table with one function at 0x1000..0x1100 and these instructions.
fn one_function(letters: &[u8], instructions: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1, 0x1b, 0x03, 0x3b];
    bytes.extend(20i32.to_le_bytes()); // .eh_frame, from here on: at 24
    bytes.extend(1u32.to_le_bytes());
    let entry_slot = bytes.len() + 4;
    bytes.extend(0x1000i32.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.resize(24, 0);
    let mut common = vec![0, 0, 0, 0, 1];
    common.extend(letters);
    common.extend([0, 1, 0x78, 16]);
    if letters.starts_with(b"z") {
        common.extend([0]); // no augmentation data
    }
    common.extend([0x0c, 7, 8, 0x90, 1]); // CFA = rsp + 8, return address at CFA - 8
    bytes.extend((common.len() as u32).to_le_bytes());
    bytes.extend(&common);
    let entry = bytes.len() as u32;
    bytes[entry_slot..entry_slot + 4].copy_from_slice(&entry.to_le_bytes());
    let mut function = (entry + 4 - 24).to_le_bytes().to_vec();
    function.extend(0x1000u64.to_le_bytes());
    function.extend(0x100u64.to_le_bytes());
    if letters.starts_with(b"z") {
        function.push(0);
    }
    function.extend(instructions);
    bytes.extend((function.len() as u32).to_le_bytes());
    bytes.extend(&function);
    bytes.extend([0; 4]);
    bytes
}

fn rules_at(bytes: &[u8], address: u64) -> Option<Rules> {
    Table::new(bytes, 0, 0).row(address + 1).map(|row| row.rules)
}

#[test]
fn instructions_that_compilers_seldom_write() {
    let rule = |instructions: &[u8], register: u8| {
        let bytes = one_function(b"z", instructions);
        rules_at(&bytes, 0x1010).map(|rules| rules.registers[usize::from(register)])
    };
    assert_eq!(rule(&[0x11, 6, 0x7e], FP), Some(Rule::At(16))); // offset_extended_sf
    assert_eq!(rule(&[0x14, 6, 2], FP), Some(Rule::Is(-16))); // val_offset
    assert_eq!(rule(&[0x15, 6, 0x7e], FP), Some(Rule::Is(16))); // val_offset_sf
    assert_eq!(rule(&[0x09, 6, 3], FP), Some(Rule::In(3))); // register
    assert_eq!(rule(&[0x2f, 6, 2], FP), Some(Rule::At(16))); // negative_offset_extended
    assert_eq!(rule(&[0x86, 2, 0xc6], FP), Some(Rule::Unspecified)); // restore
    assert_eq!(rule(&[0x0a, 0x86, 2, 0x0b], FP), Some(Rule::Unspecified)); // remember, restore
    assert_eq!(rule(&[0x2e, 9, 0x08, 6], FP), Some(Rule::Same)); // args_size, same_value
    assert_eq!(rule(&[0x50, 0x86, 2], FP), Some(Rule::At(-16))); // at the address itself
    assert_eq!(rule(&[0x51, 0x86, 2], FP), Some(Rule::Unspecified)); // beyond the address
    assert_eq!(rule(&[0x0b], FP), None); // nothing remembered
    assert_eq!(rule(&[0x0a; 5], FP), None); // too much to remember
    assert_eq!(rule(&[0x3e], FP), None); // no such instruction
}

#[test]
fn the_ends_of_a_function_and_of_a_stack() {
    let bytes = one_function(b"", &[0x07, 16]);
    assert!(rules_at(&bytes, 0xfff).is_none());
    assert!(rules_at(&bytes, 0x1000).is_some());
    assert!(rules_at(&bytes, 0x10ff).is_some());
    assert!(rules_at(&bytes, 0x1100).is_none());
    let row = Table::new(&bytes, 0, 0).row(0x1001).expect("covered");
    assert_eq!(row.step(&Registers::default(), made_up), Step::End);
    assert!(rules_at(&one_function(b"eh", &[]), 0x1000).is_none(), "not a letter we know");
}

#[test]
fn without_a_search_table_all_entries_are_read() {
    let mut bytes = one_function(b"zS", &[]);
    bytes[3] = 0xff;
    assert!(rules_at(&bytes, 0x1010).is_some());
    let row = Table::new(&bytes, 0, 0).row(0x1011).expect("covered");
    assert!(row.is_interrupted() && row.pack().is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        pc in any::<u64>(),
    ) {
        let table = Table::new(&bytes, 0, 0);
        let _ = table.row(pc);
        prop_assert!(table.row(0).is_none());
    }

    #[test]
    fn any_damage_is_survived(
        instructions in prop::collection::vec(any::<u8>(), 0..40),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        searched in any::<bool>(),
        values in prop::array::uniform17(any::<u64>()),
    ) {
        let mut bytes = one_function(b"z", &instructions);
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        bytes[3] = if searched { 0x3b } else { 0xff };
        let mut registers = Registers::default();
        (0u8..).zip(values).for_each(|(register, value)| registers.set(register, value));
        if let Some(row) = Table::new(&bytes, 0, 0).row(0x1080) {
            let step = row.step(&registers, made_up);
            if let Some(packed) = row.pack() {
                let frame = Frame::of(&registers).expect("all are known");
                prop_assert_eq!(
                    matches!(step, Step::End),
                    matches!(packed.step(frame, made_up), Step::End)
                );
            }
        }
    }

    #[test]
    fn any_expression_is_survived(code in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut registers = Registers::default();
        (0..PC).for_each(|register| registers.set(register, u64::from(register)));
        let value = expression::evaluate(&code, Some(1), &registers, made_up);
        prop_assert!(!code.is_empty() || value == Some(1));
    }
}
