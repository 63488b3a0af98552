//! YAML and JSON text to JSON values with positions, typed the way Kubernetes' own reader types them.
//!
//! Kubernetes reads manifests with sigs.k8s.io/yaml, whose resolver is go-yaml v2: YAML 1.1 booleans
//! (`yes`, `off`), Go's integer prefixes (`0777`, `0x1f`, `1_000`), no sexagesimals, timestamps as strings.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyInt, PyString, PyTuple};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

/// Deeper nesting than this is refused: no Kubernetes object needs it, and every reader downstream recurses.
const MAX_DEPTH: usize = 200;
/// How many nodes a document may hold once its aliases are expanded, per node that was written (and a floor).
const ALIAS_FACTOR: usize = 100;
const ALIAS_FLOOR: usize = 100_000;
const ALIAS_CEILING: usize = 4_000_000;
/// How many bytes of JSON the documents of a file may have together, per byte of text (and in addition).
const EXPANSION_FACTOR: usize = 8;
const EXPANSION_BYTES: usize = 4 << 20;

const NO_MERGE: &str = "a merge key (<<) needs a mapping or a list of mappings";

#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pub line: u32,
    pub column: u32,
}

/// Where a node's parts are, as a range: of the texts, the links or the entries of its document.
#[derive(Clone, Copy)]
enum Shape {
    Scalar(u32, u32),
    Sequence(u32, u32),
    Mapping(u32, u32),
}

#[derive(Clone, Copy)]
struct Entry {
    key: (u32, u32),
    mark: Mark,
    value: u32,
}

struct Node {
    mark: Mark,
    shape: Shape,
}

/// All nodes of one document in a few flat lists: thousands of documents are in memory at once.
#[derive(Default)]
struct Nodes {
    nodes: Vec<Node>,
    /// Items of sequences.
    links: Vec<u32>,
    /// Entries of mappings.
    entries: Vec<Entry>,
    /// Keys of mappings, concatenated.
    keys: String,
    /// Scalars as JSON, concatenated.
    scalars: Vec<u8>,
}

fn part<Item>(list: &[Item], from: u32, count: u32) -> &[Item] {
    &list[from as usize..][..count as usize]
}

impl Nodes {
    fn clear(&mut self) {
        self.nodes.clear();
        self.links.clear();
        self.entries.clear();
        self.keys.clear();
        self.scalars.clear();
    }

    fn items(&self, id: u32) -> &[u32] {
        match self.nodes[id as usize].shape {
            Shape::Sequence(from, count) => part(&self.links, from, count),
            _ => &[],
        }
    }

    fn entries(&self, id: u32) -> &[Entry] {
        match self.nodes[id as usize].shape {
            Shape::Mapping(from, count) => part(&self.entries, from, count),
            _ => &[],
        }
    }

    fn key(&self, entry: &Entry) -> &str {
        &self.keys[entry.key.0 as usize..entry.key.1 as usize]
    }

    fn entry(&self, id: u32, key: &str) -> Option<&Entry> {
        self.entries(id).iter().find(|entry| self.key(entry) == key)
    }

    /// A scalar's JSON.
    fn scalar(&self, id: u32) -> Option<&[u8]> {
        match self.nodes[id as usize].shape {
            Shape::Scalar(from, to) => Some(&self.scalars[from as usize..to as usize]),
            _ => None,
        }
    }

    fn text(&self, id: u32, key: &str) -> Option<String> {
        let json = self.scalar(self.entry(id, key)?.value)?;
        json.starts_with(b"\"").then(|| serde_json::from_slice(json).ok())?
    }

    fn head(&self, root: u32) -> Option<Head> {
        let version = self.text(root, "apiVersion")?;
        let kind = self.text(root, "kind").filter(|kind| !kind.is_empty())?;
        let metadata = self.entry(root, "metadata").map(|entry| entry.value);
        let named = |field| metadata.and_then(|id| self.text(id, field)).unwrap_or_default();
        Some((version, kind, named("namespace"), named("name")))
    }
}

/// apiVersion, kind, namespace and name.
pub(crate) type Head = (String, String, String, String);

/// From this many entries on, the keys of a mapping are hashed.
const WIDE_ENTRIES: usize = 64;
/// From this many documents on, the places of all documents of a text are read at once, and kept.
const MANY_DOCUMENTS: usize = 8;

/// A text, with the places in each of its documents once they are read together.
struct Text {
    bytes: PyBackedBytes,
    placed: OnceLock<Vec<(Nodes, u32)>>,
}

impl Text {
    /// The places in the documents from one number to another.
    fn read_placed(&self, from: usize, to: usize) -> Vec<(Nodes, u32)> {
        let (mut scratch, mut found, mut number) = (Scratch::default(), Vec::new(), 0);
        if let Ok(text) = text_of(&self.bytes) {
            read(text, &mut scratch, |scratch, root| {
                if number >= from {
                    found.push((std::mem::take(&mut scratch.nodes), root));
                }
                number += 1;
                number <= to
            });
        }
        found
    }
}

/// One document of a file: its value as JSON. Positions are read again from the text, because few documents need them.
#[pyclass(frozen, module = "gatekeeper._native")]
pub struct Document {
    json: Py<PyBytes>,
    head: Option<Py<PyTuple>>,
    parsed: Parsed,
    text: Arc<Text>,
    /// Which of the text's documents this is, from 0.
    number: usize,
    placed: OnceLock<(Nodes, u32)>,
}

pub(crate) struct Parsed {
    pub json: Box<[u8]>,
    pub start: Mark,
    pub head: Option<Box<Head>>,
    pub duplicates: Box<[(String, Mark, Mark)]>,
}

impl Document {
    fn placed(&self) -> &(Nodes, u32) {
        // Reading from the beginning for each of many documents takes the square of their number.
        if self.number >= MANY_DOCUMENTS {
            return &self.text.placed.get_or_init(|| self.text.read_placed(0, usize::MAX))[self.number];
        }
        self.placed.get_or_init(|| self.text.read_placed(self.number, self.number).pop().expect("a text that was parsed once is parsed again"))
    }
}

#[pymethods]
impl Document {
    /// The value as JSON text: bytes.
    #[getter]
    fn json(&self, py: Python<'_>) -> Py<PyBytes> {
        self.json.clone_ref(py)
    }

    /// Line and column of the document's first node, from 1.
    #[getter]
    fn start(&self) -> (u32, u32) {
        (self.parsed.start.line, self.parsed.start.column)
    }

    /// A Kubernetes object's apiVersion, kind, namespace and name (empty where it has none); None for anything else.
    #[getter]
    fn head(&self, py: Python<'_>) -> Option<Py<PyTuple>> {
        self.head.as_ref().map(|head| head.clone_ref(py))
    }

    /// Keys written twice in one mapping: (key, line, column, line of the first).
    #[getter]
    fn duplicates(&self) -> Vec<(String, u32, u32, u32)> {
        self.parsed.duplicates.iter().map(|(key, mark, first)| (key.clone(), mark.line, mark.column, first.line)).collect()
    }

    /// How many steps of the path exist, and the line and column of the last that does.
    ///
    /// A mapping entry is placed at its key where its value is a collection, or where `key` is set; else at its value.
    #[pyo3(signature = (path, key=false))]
    fn locate(&self, path: &Bound<'_, PyTuple>, key: bool) -> PyResult<(usize, u32, u32)> {
        let (nodes, root) = self.placed();
        let mut id = *root;
        let mut mark = nodes.nodes[id as usize].mark;
        let mut depth = 0;
        for step in path.iter() {
            if let Ok(name) = step.cast::<PyString>() {
                let Some(entry) = nodes.entry(id, name.to_str()?) else { break };
                id = entry.value;
                let value = &nodes.nodes[id as usize];
                mark = if key || !matches!(value.shape, Shape::Scalar(..)) { entry.mark } else { value.mark };
            } else if let Ok(index) = step.cast::<PyInt>() {
                let Some(item) = index.extract::<usize>().ok().and_then(|index| nodes.items(id).get(index)) else { break };
                id = *item;
                mark = nodes.nodes[id as usize].mark;
            } else {
                break;
            }
            depth += 1;
        }
        Ok((depth, mark.line, mark.column))
    }

    fn __repr__(&self) -> String {
        let (line, column) = self.start();
        format!("Document(line={line}, column={column})")
    }
}

struct Failure {
    message: String,
    mark: Mark,
}

/// Memory for parsing, allocated once per thread and used again for the next text.
#[derive(Default)]
struct Scratch {
    nodes: Nodes,
    /// Items and entries of the collections that are still being read, the innermost last.
    open_links: Vec<u32>,
    open_entries: Vec<Entry>,
    /// The keys of each open mapping with many entries, by its first entry.
    wide: HashMap<usize, HashSet<Box<str>>>,
    duplicates: Vec<(String, Mark, Mark)>,
    anchors: HashMap<usize, u32>,
    json: Vec<u8>,
}

impl Scratch {
    fn clear(&mut self) {
        self.nodes.clear();
        self.open_links.clear();
        self.open_entries.clear();
        self.wide.clear();
        self.duplicates.clear();
        self.anchors.clear();
        self.json.clear();
    }
}

/// Parses the documents of a text until `each`, which gets the root of each document, returns false. Returns the failure.
fn read(text: &str, scratch: &mut Scratch, mut each: impl FnMut(&mut Scratch, u32) -> bool) -> Option<Failure> {
    if let Some(failure) = disputed(text) {
        return Some(failure);
    }
    let open_end = if text.ends_with('\n') { usize::MAX } else { text.chars().count() };
    let mut reader = Reader { text, lines: Vec::new(), open_end, parser: Parser::new_from_str(text), expanded: 0, held: scratch };
    loop {
        match reader.document() {
            Ok(Some(root)) if each(reader.held, root) => {}
            Ok(_) => return None,
            Err(failure) => return Some(failure),
        }
    }
}

/// The first character that this parser (YAML 1.2) and go-yaml (YAML 1.1) may read differently. Such a text is left to
/// libyaml, from which go-yaml is derived.
fn disputed(text: &str) -> Option<Failure> {
    let bytes = text.as_bytes();
    let at = bytes.iter().enumerate().position(|(at, byte)| match byte {
        b' '..=b'$' | b'\''..=b'-' | b'/'..=b'[' | b']'..=b'~' | b'\n' => false,
        b'&' => is_unusual_anchor(bytes, at),
        // Directives, and ends of documents after which there is more than the start of another.
        b'%' => at == 0 || bytes[at - 1] == b'\n',
        b'.' => (at == 0 || bytes[at - 1] == b'\n') && text[at..].strip_prefix("...").is_some_and(|rest| {
            at == 0 || !rest.trim_start().is_empty() && !rest.trim_start().starts_with("---")
        }),
        b'\\' => bytes.get(at + 1) == Some(&b'/'),
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        // A tab in the indentation, or behind an indicator.
        b'\t' => bytes[..at].iter().rev().take_while(|byte| **byte != b'\n').all(|byte| b" \t\r-?:".contains(byte)),
        // Control characters, U+0085 among them; line ends of YAML 1.1; U+FEFF, U+FFFE and U+FFFF.
        0..=0x1f | 0x7f => true,
        0xc2 => bytes[at + 1] < 0xa0,
        0xe2 => bytes[at + 1] == 0x80 && matches!(bytes[at + 2], 0xa8 | 0xa9),
        0xef => matches!((bytes[at + 1], bytes[at + 2]), (0xbb, 0xbf) | (0xbf, 0xbe | 0xbf)),
        _ => false,
    });
    // A last line of blanks without an end.
    let at = at.or_else(|| (text.ends_with([' ', '\t']) && text.rsplit('\n').next()?.trim().is_empty()).then_some(bytes.len()))?;
    let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
    Some(Failure { message: "a character that YAML readers interpret differently".into(), mark: Mark { line, column: 1 } })
}

/// Whether an ampersand may start an anchor whose name has other characters than go-yaml allows (letters, digits, `_`, `-`).
fn is_unusual_anchor(bytes: &[u8], at: usize) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let name = bytes[at + 1..].split(|byte| byte.is_ascii_whitespace() || b",[]{}".contains(byte)).next().unwrap_or_default();
    let is_start = at == 0 || bytes[at - 1].is_ascii_whitespace() || b",[{".contains(&bytes[at - 1]);
    // `&&` and `&>` in scripts are no anchors.
    let is_name = name.first().is_some_and(|first| !b"&>".contains(first));
    is_start && is_name && !name.iter().all(is_allowed)
}

/// The documents of one text, and where reading stopped, if it did: (message, line, column).
type Outcome = (Vec<Parsed>, Option<(String, u32, u32)>);

fn parse_text(text: &str, scratch: &mut Scratch) -> Outcome {
    if disputed(text).is_none() {
        if let Some(documents) = crate::block_yaml::read(text, &mut scratch.json) {
            return (documents, None);
        }
    }
    let mut documents = Vec::new();
    let failure = read(text, scratch, |scratch, root| {
        documents.push(Parsed {
            json: scratch.json.as_slice().into(),
            start: scratch.nodes.nodes[root as usize].mark,
            head: scratch.nodes.head(root).map(Box::new),
            duplicates: std::mem::take(&mut scratch.duplicates).into(),
        });
        true
    });
    (documents, failure.map(|failure| (failure.message, failure.mark.line, failure.mark.column)))
}

struct Reader<'input, 'held> {
    text: &'input str,
    /// The text's lines, split when first needed.
    lines: Vec<&'input str>,
    /// The text's length in characters where its last line has no end; else more than any index.
    open_end: usize,
    parser: Parser<'input, saphyr_parser::StrInput<'input>>,
    /// The bytes of JSON of the documents so far.
    expanded: usize,
    held: &'held mut Scratch,
}

fn mark_of(span: &Span) -> Mark {
    Mark { line: span.start.line() as u32, column: span.start.col() as u32 + 1 }
}

impl<'input> Reader<'input, '_> {
    fn next(&mut self) -> Result<(Event<'input>, Span), Failure> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(Failure {
                message: error.info().to_string(),
                mark: Mark { line: error.marker().line() as u32, column: error.marker().col() as u32 + 1 },
            }),
            None => Err(Failure { message: "the text ends inside a value".into(), mark: Mark { line: 1, column: 1 } }),
        }
    }

    /// The root of the next document, whose JSON is then written; None at the end.
    fn document(&mut self) -> Result<Option<u32>, Failure> {
        loop {
            match self.next()?.0 {
                Event::StreamEnd => return Ok(None),
                Event::DocumentStart(_) => break,
                _ => {}
            }
        }
        self.held.clear();
        let (event, span) = self.next()?;
        self.without_tabs(&span)?;
        if matches!(event, Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..)) {
            // The indentation of a block text that is a whole document: libyaml decides.
            return Err(Failure { message: "a document that is a block text".into(), mark: mark_of(&span) });
        }
        let root = self.node(event, span, 0)?;
        let budget = (self.held.nodes.nodes.len() * ALIAS_FACTOR).clamp(ALIAS_FLOOR, ALIAS_CEILING);
        let most = (self.text.len() * EXPANSION_FACTOR + EXPANSION_BYTES).saturating_sub(self.expanded);
        let mut writer = Writer { nodes: &self.held.nodes, left: budget, most, out: &mut self.held.json };
        if !writer.write(root) {
            let bound = if writer.out.len() > most { format!("{most} bytes") } else { format!("{budget} values") };
            return Err(Failure {
                message: format!("aliases expand to more than {bound}"),
                mark: self.held.nodes.nodes[root as usize].mark,
            });
        }
        self.expanded += self.held.json.len();
        Ok(Some(root))
    }

    fn add(&mut self, mark: Mark, shape: Shape, anchor: usize) -> u32 {
        let id = self.held.nodes.nodes.len() as u32;
        self.held.nodes.nodes.push(Node { mark, shape });
        if anchor != 0 {
            self.held.anchors.insert(anchor, id);
        }
        id
    }

    fn node(&mut self, event: Event<'input>, span: Span, depth: usize) -> Result<u32, Failure> {
        let mark = mark_of(&span);
        if depth > MAX_DEPTH {
            return Err(Failure { message: format!("nested more than {MAX_DEPTH} levels deep"), mark });
        }
        match event {
            // In brackets YAML 1.2 accepts such a text.
            Event::Scalar(text, ScalarStyle::Plain, ..) if text.starts_with(['|', '>']) => {
                Err(Failure { message: "a text must not begin with | or >".into(), mark })
            }
            Event::Scalar(text, style, anchor, tag) => {
                // A block text that ends with the file, without a line end, has none in go-yaml either.
                let open_end = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) && span.end.index() >= self.open_end;
                let text: &str = if open_end { text.strip_suffix('\n').unwrap_or(&text) } else { &text };
                let mark = if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) { self.header(mark) } else { mark };
                let from = self.held.nodes.scalars.len() as u32;
                scalar(&mut self.held.nodes.scalars, text, style, tag.as_deref()).map_err(|message| Failure { message, mark })?;
                Ok(self.add(mark, Shape::Scalar(from, self.held.nodes.scalars.len() as u32), anchor))
            }
            Event::SequenceStart(anchor, _) => self.sequence(mark, anchor, depth),
            Event::MappingStart(anchor, _) => self.mapping(mark, anchor, depth),
            Event::Alias(anchor) => self.held.anchors.get(&anchor).copied().ok_or(Failure {
                message: "an alias names an anchor that contains it, or that does not exist".into(),
                mark,
            }),
            other => Err(Failure { message: format!("unexpected {other:?}"), mark }),
        }
    }

    /// go-yaml refuses a document that is indented with a tab; the parser accepts it.
    fn without_tabs(&self, span: &Span) -> Result<(), Failure> {
        let mark = mark_of(span);
        let Some(line) = (mark.column > 1).then(|| self.text.lines().nth(mark.line as usize - 1)).flatten() else { return Ok(()) };
        if line.starts_with('\t') && !line.trim_start().starts_with(['{', '[']) {
            return Err(Failure { message: "a tab in the indentation: use spaces".into(), mark: Mark { column: 1, ..mark } });
        }
        Ok(())
    }

    /// The place of a block text's `|` or `>`: the parser returns the place of its first line of content.
    fn header(&mut self, content: Mark) -> Mark {
        if self.lines.is_empty() {
            self.lines = self.text.lines().collect();
        }
        let above = (content.line as usize).saturating_sub(1).min(self.lines.len());
        let Some(number) = (0..above).rev().find(|number| !self.lines[*number].trim().is_empty()) else { return content };
        let line = self.lines[number];
        let code = line.find(" #").map_or(line, |comment| &line[..comment]);
        match code.rfind(['|', '>']) {
            Some(at) => Mark { line: number as u32 + 1, column: code[..at].chars().count() as u32 + 1 },
            None => content,
        }
    }

    fn sequence(&mut self, mark: Mark, anchor: usize, depth: usize) -> Result<u32, Failure> {
        let base = self.held.open_links.len();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                let from = self.held.nodes.links.len();
                self.held.nodes.links.extend(self.held.open_links.drain(base..));
                return Ok(self.add(mark, Shape::Sequence(from as u32, (self.held.nodes.links.len() - from) as u32), anchor));
            }
            let item = self.node(event, span, depth + 1)?;
            self.held.open_links.push(item);
        }
    }

    fn mapping(&mut self, mark: Mark, anchor: usize, depth: usize) -> Result<u32, Failure> {
        let base = self.held.open_entries.len();
        let mut merged: Option<(u32, Mark)> = None;
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key_mark = mark_of(&span);
            if matches!(&event, Event::Scalar(text, _, _, Some(_)) if text == "<<") {
                // Whether it merges depends on the tag: libyaml decides.
                return Err(Failure { message: "a merge key (<<) with a tag".into(), mark: key_mark });
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.key(event, span, depth)?;
            let (event, span) = self.next()?;
            let is_alias = matches!(event, Event::Alias(_));
            let value = self.node(event, span, depth + 1)?;
            if is_merge {
                if is_alias && matches!(self.held.nodes.nodes[value as usize].shape, Shape::Sequence(..)) {
                    return Err(Failure { message: NO_MERGE.into(), mark: key_mark });
                }
                if merged.is_some() || self.overrides(base, value) {
                    let message = "a merge key (<<) sets keys again that come before it: readers take different values".into();
                    return Err(Failure { message, mark: key_mark });
                }
                merged = Some((value, key_mark));
                continue;
            }
            self.put(base, Entry { key, mark: key_mark, value });
        }
        if let Some((source, at)) = merged {
            self.merge(base, source, at)?;
        }
        let from = self.held.nodes.entries.len();
        self.held.nodes.entries.extend(self.held.open_entries.drain(base..));
        self.held.wide.remove(&base);
        Ok(self.add(mark, Shape::Mapping(from as u32, (self.held.nodes.entries.len() - from) as u32), anchor))
    }

    /// Adds an entry to the innermost open mapping; one that is written twice is noted, and its last value counts.
    fn put(&mut self, base: usize, entry: Entry) {
        let Scratch { nodes, open_entries, wide, duplicates, .. } = &mut *self.held;
        let key = nodes.key(&entry);
        let open = &open_entries[base..];
        // For the few keys of an ordinary mapping a linear search is faster than a hash.
        let is_new = open.len() >= WIDE_ENTRIES
            && wide.entry(base).or_insert_with(|| open.iter().map(|other| nodes.key(other).into()).collect()).insert(key.into());
        let same = if is_new { None } else { open.iter().position(|other| nodes.key(other) == key) };
        if let Some(index) = same {
            let first = open_entries.remove(base + index);
            duplicates.push((key.to_string(), entry.mark, first.mark));
        }
        open_entries.push(entry);
    }

    /// Reads a mapping's key into the keys: sigs.k8s.io/yaml turns numbers and booleans into their text.
    fn key(&mut self, event: Event<'input>, span: Span, depth: usize) -> Result<(u32, u32), Failure> {
        let from = self.held.nodes.keys.len() as u32;
        match &event {
            Event::Scalar(text, style, 0, None) if *style != ScalarStyle::Plain || is_word(text) => {
                self.held.nodes.keys.push_str(text);
            }
            _ => {
                let mark = mark_of(&span);
                let id = self.node(event, span, depth + 1)?;
                let text = match self.held.nodes.scalar(id) {
                    Some(json) if json.starts_with(b"\"") => serde_json::from_slice(json).unwrap_or_default(),
                    Some(json) if json != b"null" => String::from_utf8_lossy(json).into_owned(),
                    _ => return Err(Failure { message: "a key must be a text, a number or a boolean".into(), mark }),
                };
                self.held.nodes.keys.push_str(&text);
            }
        }
        Ok((from, self.held.nodes.keys.len() as u32))
    }

    fn merge(&mut self, base: usize, source: u32, at: Mark) -> Result<(), Failure> {
        match self.held.nodes.nodes[source as usize].shape {
            Shape::Mapping(from, count) => {
                for index in from..from + count {
                    let entry = self.held.nodes.entries[index as usize];
                    let key = self.held.nodes.key(&entry);
                    if !self.held.open_entries[base..].iter().any(|own| self.held.nodes.key(own) == key) {
                        self.held.open_entries.push(entry);
                    }
                }
                Ok(())
            }
            Shape::Sequence(from, count) if self.are_mappings(source) => {
                (from..from + count).try_for_each(|index| self.merge(base, self.held.nodes.links[index as usize], at))
            }
            _ => Err(Failure { message: NO_MERGE.into(), mark: at }),
        }
    }

    /// Whether a mapping, or one of a list of mappings, has a key of the innermost open mapping.
    fn overrides(&self, base: usize, source: u32) -> bool {
        let nodes = &self.held.nodes;
        let own = |key: &str| self.held.open_entries[base..].iter().any(|entry| nodes.key(entry) == key);
        nodes.entries(source).iter().any(|entry| own(nodes.key(entry)))
            || nodes.items(source).iter().any(|item| nodes.entries(*item).iter().any(|entry| own(nodes.key(entry))))
    }

    fn are_mappings(&self, id: u32) -> bool {
        self.held.nodes.items(id).iter().all(|item| matches!(self.held.nodes.nodes[*item as usize].shape, Shape::Mapping(..)))
    }
}

struct Writer<'nodes> {
    nodes: &'nodes Nodes,
    left: usize,
    /// How many bytes may be written.
    most: usize,
    out: &'nodes mut Vec<u8>,
}

impl Writer<'_> {
    /// False if the budget is used up.
    fn write(&mut self, id: u32) -> bool {
        if self.left == 0 || self.out.len() > self.most {
            return false;
        }
        self.left -= 1;
        let nodes = self.nodes;
        match nodes.nodes[id as usize].shape {
            Shape::Scalar(from, to) => {
                self.out.extend_from_slice(&nodes.scalars[from as usize..to as usize]);
                self.out.len() <= self.most
            }
            Shape::Sequence(..) => {
                self.out.push(b'[');
                let whole = nodes.items(id).iter().enumerate().all(|(index, item)| {
                    if index > 0 {
                        self.out.push(b',');
                    }
                    self.write(*item)
                });
                self.out.push(b']');
                whole
            }
            Shape::Mapping(..) => {
                self.out.push(b'{');
                let whole = nodes.entries(id).iter().enumerate().all(|(index, entry)| {
                    if index > 0 {
                        self.out.push(b',');
                    }
                    write_string(self.out, nodes.key(entry));
                    self.out.push(b':');
                    self.write(entry.value)
                });
                self.out.push(b'}');
                whole
            }
        }
    }
}

pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing to memory does not fail");
}

/// Writes a scalar as JSON text.
fn scalar(out: &mut Vec<u8>, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<(), String> {
    let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    match (core, tag, style) {
        (Some(kind @ ("int" | "float" | "bool" | "null")), _, _) => {
            let from = out.len();
            plain(out, text)?;
            let fits = is_a(kind, &out[from..]) && (kind != "int" || is_integer(text));
            fits.then_some(()).ok_or_else(|| format!("a value is tagged !!{kind}, but is none"))
        }
        (Some("timestamp"), _, _) => Err("a value is tagged !!timestamp".into()),
        (Some("binary"), _, _) => {
            let bare: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
            if bare.iter().skip_while(|byte| **byte != b'=').any(|byte| *byte != b'=') {
                return Err("a value is tagged !!binary, but is no base64".into());
            }
            let bytes = data_encoding::BASE64.decode(&bare).map_err(|_| "a value is tagged !!binary, but is no base64".to_string())?;
            write_string(out, &String::from_utf8_lossy(&bytes));
            Ok(())
        }
        (None, None, ScalarStyle::Plain) => plain(out, text),
        _ => {
            write_string(out, text);
            Ok(())
        }
    }
}

/// Whether a scalar's JSON is what its tag says; a whole number is a float too.
fn is_a(kind: &str, json: &[u8]) -> bool {
    let is_number = json.first().is_some_and(|first| matches!(first, b'-' | b'0'..=b'9'));
    match kind {
        "int" => is_number && !json.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')),
        "float" => is_number,
        "bool" => json == b"true" || json == b"false",
        _ => json == b"null",
    }
}

/// go-yaml v2's `resolve`, for a scalar without quotes.
pub(crate) fn plain(out: &mut Vec<u8>, text: &str) -> Result<(), String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => out.extend_from_slice(b"null"),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => out.extend_from_slice(b"true"),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => out.extend_from_slice(b"false"),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" => {
            return Err(format!("{text} has no form in JSON, so Kubernetes cannot read it"));
        }
        _ if matches!(text.as_bytes()[0], b'0'..=b'9' | b'+' | b'-' | b'.') => match number(text) {
            Some(found) => out.extend_from_slice(found.as_bytes()),
            None => write_string(out, text),
        },
        _ => write_string(out, text),
    }
    Ok(())
}

/// Whether a plain scalar is surely a text: longer than any word that means something, and no number.
pub(crate) fn is_word(text: &str) -> bool {
    text.len() > 5 && text.as_bytes()[0].is_ascii_alphabetic()
}

/// Whether a number is written as a whole number, and not as `1.0` or `1e3`.
fn is_integer(text: &str) -> bool {
    let bare: String = text.chars().filter(|letter| *letter != '_').collect();
    integer(bare.strip_prefix(['-', '+']).unwrap_or(&bare)).is_some_and(|value| !bare.starts_with('-') || value <= 1 << 63)
}

fn number(text: &str) -> Option<String> {
    if text.starts_with('.') && text.contains('_') {
        // go-yaml skips underscores only in numbers that start with a digit or a sign.
        return None;
    }
    let bare: String = text.chars().filter(|letter| *letter != '_').collect();
    let (negative, digits) = match bare.as_bytes().first()? {
        b'-' => (true, &bare[1..]),
        b'+' => (false, &bare[1..]),
        _ => (false, &bare[..]),
    };
    if let Some(value) = integer(digits) {
        return match (negative, i64::try_from(value)) {
            (false, _) => Some(value.to_string()),
            (true, Ok(0)) => Some("0".into()),
            (true, _) if value <= 1 << 63 => Some(format!("-{value}")),
            (true, _) => float(&bare),
        };
    }
    float(&bare)
}

/// Go's `strconv.ParseUint(text, 0, 64)`.
fn integer(digits: &str) -> Option<u64> {
    let lower = digits.to_ascii_lowercase();
    let (radix, rest) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(rest, radix).ok()
}

/// go-yaml's `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`, written as Go's encoding/json writes it.
fn float(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_fits = all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_fits = exponent.is_none_or(|part| {
        let part = part.strip_prefix(['-', '+']).unwrap_or(part);
        !part.is_empty() && all_digits(part)
    });
    if !(mantissa_fits && exponent_fits) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    if !value.is_finite() {
        return None;
    }
    if value.fract() == 0.0 && value.abs() < 1e21 {
        return Some(format!("{value:.0}").replace("-0", if value == 0.0 { "0" } else { "-0" }));
    }
    Some(serde_json::to_string(&value).expect("a finite number is JSON"))
}

fn text_of(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// A head as a tuple of Python: most objects share version, kind and namespace.
fn build_head(py: Python<'_>, (version, kind, namespace, name): Head) -> PyResult<Py<PyTuple>> {
    let shared = |text: &str| PyString::intern(py, text);
    Ok((shared(&version), shared(&kind), shared(&namespace), name).into_pyobject(py)?.unbind())
}

/// The documents of each text, in order, read on `jobs` threads: (documents, None or (message, line, column)).
#[pyfunction]
pub fn parse_yaml(py: Python<'_>, texts: Vec<PyBackedBytes>, jobs: usize) -> PyResult<Vec<(Vec<Document>, Option<(String, u32, u32)>)>> {
    let found = py.detach(|| crate::spread(&texts, jobs, Scratch::default, |scratch, text| Ok::<_, String>(parse_text(text_of(text)?, scratch))));
    let documents = |text: PyBackedBytes, parsed: Vec<Parsed>| {
        let text = Arc::new(Text { bytes: text, placed: OnceLock::new() });
        let made = |(number, mut parsed): (usize, Parsed)| {
            let json = PyBytes::new(py, &std::mem::take(&mut parsed.json)).unbind();
            let head = parsed.head.take().and_then(|head| build_head(py, *head).ok());
            Document { json, head, parsed, text: text.clone(), number, placed: OnceLock::new() }
        };
        parsed.into_iter().enumerate().map(made).collect()
    };
    let both = texts.into_iter().zip(found);
    both.map(|(text, outcome)| outcome.map(|(parsed, failure)| (documents(text, parsed), failure)).map_err(PyValueError::new_err)).collect()
}
