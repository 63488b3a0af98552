//! The YAML that most manifests consist of, read several times faster: block mappings and lists, short flow collections,
//! texts of one line and literal blocks. Whatever else a text has, it is left to the parser of all YAML.
//!
//! The value of a text is the same by both, which tests compare. Places are read by the other alone.

use crate::yaml::{is_word, plain, write_string, Head, Mark, Parsed};

/// Longer texts are left to the other parser, which counts nodes and nesting.
const MAX_BYTES: usize = 2 << 20;
const MAX_DEPTH: usize = 64;
/// Keys of one mapping are compared one by one.
const MAX_KEYS: usize = 512;
/// No content follows: the document or the text ends.
const END: isize = -1;

/// Where a mapping is: the fields that name an object are in the root and in its metadata.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Metadata,
    Other,
}

/// Reads from one line with content to the next. A None is a text that the other parser must read.
struct Lines<'text, 'out> {
    bytes: &'text [u8],
    at: usize,
    /// The column, from 0, of the content at `at` where a line begins; else of the innermost collection.
    indent: isize,
    depth: usize,
    out: &'out mut Vec<u8>,
    /// The keys of all open mappings, as written.
    keys: Vec<&'text [u8]>,
    /// The JSON of apiVersion, kind, namespace and name in `out`.
    head: [Option<(usize, usize)>; 4],
}

/// The documents of a text that has no disputed characters; None if it is not as simple as expected.
///
/// `out` is memory for the JSON of one document.
pub(crate) fn read(text: &str, out: &mut Vec<u8>) -> Option<Vec<Parsed>> {
    let bytes = text.as_bytes();
    if bytes.len() > MAX_BYTES || bytes.iter().any(|byte| matches!(byte, b'\t' | b'\r')) {
        return None;
    }
    let mut lines = Lines { bytes, at: 0, indent: END, depth: 0, out, keys: Vec::new(), head: [None; 4] };
    let (mut documents, mut counted, mut line) = (Vec::new(), 0, 1);
    lines.go_to_content(0)?;
    loop {
        if lines.is_marker() {
            lines.at += 3;
            lines.end_line()?;
        }
        // An empty document is rare.
        if lines.indent != 0 {
            return None;
        }
        line += bytes[counted..lines.at].iter().filter(|byte| **byte == b'\n').count() as u32;
        counted = lines.at;
        lines.head = [None; 4];
        lines.out.clear();
        lines.block(Place::Root)?;
        if lines.indent != END {
            return None;
        }
        documents.push(Parsed {
            head: lines.read_head().map(Box::new),
            json: lines.out.as_slice().into(),
            start: Mark { line, column: 1 },
            duplicates: Box::default(),
        });
        if lines.at == bytes.len() {
            return Some(documents);
        }
    }
}

/// Whether a byte can be anywhere in a key, or in a text of a flow collection.
fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-')
}

impl<'text> Lines<'text, '_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// Whether a token ends here: at a blank, or at the end of the line.
    fn is_break(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b' ' | b'\n'))
    }

    fn is_line_end(&self, at: usize) -> bool {
        matches!(self.byte(at), None | Some(b'\n'))
    }

    fn skip_blanks(&mut self) {
        while self.byte(self.at) == Some(b' ') {
            self.at += 1;
        }
    }

    fn find_line_end(&self, at: usize) -> usize {
        self.bytes[at..].iter().position(|byte| *byte == b'\n').map_or(self.bytes.len(), |length| at + length)
    }

    /// Whether a list's item begins here.
    fn is_item(&self) -> bool {
        self.byte(self.at) == Some(b'-') && self.is_break(self.at + 1)
    }

    fn is_marker(&self) -> bool {
        self.indent == END && self.bytes[self.at..].starts_with(b"---")
    }

    /// Goes to the first content from the beginning of a line on: comments and blank lines are none.
    fn go_to_content(&mut self, mut start: usize) -> Option<()> {
        loop {
            self.at = start;
            self.skip_blanks();
            match self.byte(self.at) {
                None => {
                    self.indent = END;
                    return Some(());
                }
                Some(b'\n' | b'#') => start = (self.find_line_end(self.at) + 1).min(self.bytes.len()),
                Some(_) => break,
            }
        }
        let column = self.at - start;
        let is_marker = column == 0 && self.bytes[start..].starts_with(b"---") && self.is_break(start + 3);
        self.indent = if is_marker { END } else { column as isize };
        let is_end = column == 0 && self.bytes[start..].starts_with(b"...");
        (!is_end).then_some(())
    }

    /// Goes from the end of a value to the next content; nothing but a comment may come before it in this line.
    fn end_line(&mut self) -> Option<()> {
        self.skip_blanks();
        let is_comment = self.byte(self.at) == Some(b'#') && self.bytes[self.at - 1] == b' ';
        if !is_comment && !self.is_line_end(self.at) {
            return None;
        }
        self.go_to_content((self.find_line_end(self.at) + 1).min(self.bytes.len()))
    }

    /// A collection that begins here, at the column `indent`.
    fn block(&mut self, place: Place) -> Option<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        if self.is_item() { self.list() } else { self.mapping(place) }?;
        self.depth -= 1;
        Some(())
    }

    fn mapping(&mut self, place: Place) -> Option<()> {
        let (indent, first) = (self.indent, self.keys.len());
        self.out.push(b'{');
        loop {
            let key = self.key(first)?;
            let from = self.out.len();
            self.skip_blanks();
            if self.is_line_end(self.at) || self.byte(self.at) == Some(b'#') {
                self.end_line()?;
                // The items of a list may be in the column of its key.
                if self.indent > indent || (self.indent == indent && self.is_item()) {
                    self.block(inner(place, key))?;
                } else {
                    self.out.extend_from_slice(b"null");
                }
            } else {
                self.inline(indent, inner(place, key))?;
            }
            self.note(place, key, from);
            if self.indent != indent {
                break;
            }
            self.out.push(b',');
        }
        self.out.push(b'}');
        self.keys.truncate(first);
        (self.indent < indent).then_some(())
    }

    fn list(&mut self) -> Option<()> {
        let indent = self.indent;
        self.out.push(b'[');
        loop {
            let dash = self.at;
            self.at += 1;
            self.skip_blanks();
            if self.is_line_end(self.at) || self.byte(self.at) == Some(b'#') {
                self.end_line()?;
                if self.indent > indent {
                    self.block(Place::Other)?;
                } else {
                    self.out.extend_from_slice(b"null");
                }
            } else if self.is_item() || self.find_key().is_some() {
                self.indent = indent + (self.at - dash) as isize;
                self.block(Place::Other)?;
            } else {
                self.inline(indent, Place::Other)?;
            }
            if self.indent != indent || !self.is_item() {
                break;
            }
            self.out.push(b',');
        }
        self.out.push(b']');
        // In the column of the list another entry of the mapping around it can follow, which reads it.
        (self.indent <= indent).then_some(())
    }

    /// A value that begins in the line of its key or dash. If the next line is further to the right, it goes on there.
    fn inline(&mut self, indent: isize, place: Place) -> Option<()> {
        match self.byte(self.at)? {
            b'|' => self.literal(indent)?,
            b'"' | b'\'' | b'[' | b'{' => {
                self.flow(place)?;
                self.end_line()?;
            }
            _ => {
                let text = self.plain_text()?;
                plain(self.out, text).ok()?;
                self.end_line()?;
            }
        }
        (self.indent <= indent).then_some(())
    }

    /// A text without quotes, to the end of the line or to a comment.
    fn plain_text(&mut self) -> Option<&'text str> {
        let from = self.at;
        let is_start = match self.byte(from)? {
            b'-' => !self.is_break(from + 1),
            first => is_safe(first) || matches!(first, b'$' | b'(' | b'+' | b'~'),
        };
        let (mut at, mut end) = (from, from);
        while !self.is_line_end(at) {
            match self.bytes[at] {
                b':' if self.is_break(at + 1) => return None,
                b'#' if self.bytes[at - 1] == b' ' => break,
                b' ' => {}
                _ => end = at + 1,
            }
            at += 1;
        }
        self.at = end;
        is_start.then(|| std::str::from_utf8(&self.bytes[from..end]).ok())?
    }

    /// A block text after `|` or `|-`.
    fn literal(&mut self, parent: isize) -> Option<()> {
        let keeps_end = self.byte(self.at + 1) != Some(b'-');
        self.at += if keeps_end { 1 } else { 2 };
        self.skip_blanks();
        if self.byte(self.at) != Some(b'\n') {
            return None;
        }
        let (mut start, mut column, mut breaks, mut text) = (self.at + 1, None, 0, Vec::new());
        while start < self.bytes.len() {
            let end = self.find_line_end(start);
            let blanks = self.bytes[start..end].iter().take_while(|byte| **byte == b' ').count();
            if start + blanks == end {
                if blanks > column.unwrap_or(0) {
                    return None;
                }
                breaks += 1;
                start = end + 1;
                continue;
            }
            let own = *column.get_or_insert(blanks);
            if blanks < own {
                break;
            }
            text.resize(text.len() + breaks, b'\n');
            text.extend_from_slice(&self.bytes[start + own..end]);
            breaks = 1;
            start = end + 1;
        }
        // In a text without a last line end, the block has none either.
        if column? as isize <= parent || start > self.bytes.len() {
            return None;
        }
        if keeps_end {
            text.push(b'\n');
        }
        write_string(self.out, std::str::from_utf8(&text).ok()?);
        // A comment that ends the text must not be to the right of what comes next.
        let blanks = self.bytes[start..].iter().take_while(|byte| **byte == b' ').count();
        if blanks as isize > parent {
            return None;
        }
        self.go_to_content(start)
    }

    /// A quoted text or a collection in brackets, within this line.
    fn flow(&mut self, place: Place) -> Option<()> {
        match self.byte(self.at)? {
            b'"' | b'\'' => {
                let (text, end) = self.find_quoted(self.at)?;
                if self.bytes[self.at] == b'"' {
                    // The escapes that are allowed here are those of JSON.
                    self.out.extend_from_slice(&self.bytes[self.at..end]);
                } else {
                    write_string(self.out, &std::str::from_utf8(text).ok()?.replace("''", "'"));
                }
                self.at = end;
                Some(())
            }
            b'[' => self.flow_entries(b']', |lines, _| lines.flow(Place::Other)),
            b'{' => self.flow_entries(b'}', |lines, first| {
                let key = lines.key(first)?;
                lines.skip_blanks();
                let from = lines.out.len();
                lines.flow(inner(place, key))?;
                lines.note(place, key, from);
                Some(())
            }),
            first => {
                let from = self.at;
                while self.byte(self.at).is_some_and(|byte| is_safe(byte) || byte == b'=') {
                    self.at += 1;
                }
                let is_start = is_safe(first) && (first != b'-' || self.at > from + 1);
                let text = std::str::from_utf8(&self.bytes[from..self.at]).ok()?;
                plain(self.out, is_start.then_some(text)?).ok()
            }
        }
    }

    fn flow_entries(&mut self, close: u8, mut entry: impl FnMut(&mut Self, usize) -> Option<()>) -> Option<()> {
        self.depth += 1;
        let first = self.keys.len();
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.out.push(self.bytes[self.at]);
        self.at += 1;
        self.skip_blanks();
        while self.byte(self.at) != Some(close) {
            entry(self, first)?;
            self.skip_blanks();
            match self.byte(self.at)? {
                b',' => {
                    self.at += 1;
                    self.skip_blanks();
                    self.out.push(b',');
                    if self.byte(self.at) == Some(close) {
                        return None;
                    }
                }
                byte if byte == close => {}
                _ => return None,
            }
        }
        self.at += 1;
        self.out.push(close);
        self.keys.truncate(first);
        self.depth -= 1;
        Some(())
    }

    /// Reads a key with its colon, and writes both; one that its mapping has already is left to the other parser.
    fn key(&mut self, first: usize) -> Option<&'text [u8]> {
        let (key, end) = self.find_key()?;
        if self.keys.len() - first > MAX_KEYS || self.keys[first..].contains(&key) {
            return None;
        }
        self.keys.push(key);
        self.out.push(b'"');
        self.out.extend_from_slice(key);
        self.out.extend_from_slice(b"\":");
        self.at = end + 1;
        Some(key)
    }

    /// A key that begins here, and where it ends with a colon and a blank.
    fn find_key(&self) -> Option<(&'text [u8], usize)> {
        let (key, end) = if matches!(self.byte(self.at)?, b'"' | b'\'') {
            let (key, end) = self.find_quoted(self.at)?;
            // Escapes: the same key can be written in several ways.
            (!key.iter().any(|byte| matches!(byte, b'\\' | b'\'' | b'"'))).then_some((key, end))?
        } else {
            let length = self.bytes[self.at..].iter().take_while(|byte| is_safe(**byte)).count();
            let key = &self.bytes[self.at..self.at + length];
            let text = std::str::from_utf8(key).ok()?;
            let mut json = Vec::new();
            // A number or a boolean becomes a text.
            let is_text = !text.starts_with('-') && !text.is_empty() && (is_word(text) || (plain(&mut json, text).is_ok() && json[0] == b'"'));
            is_text.then_some((key, self.at + length))?
        };
        // A key may have 1,024 characters.
        (key.len() < 1000 && self.byte(end) == Some(b':') && self.is_break(end + 1)).then_some((key, end))
    }

    /// A quoted text of one line, as written, and its end; with no escapes but those that are the same in JSON.
    fn find_quoted(&self, from: usize) -> Option<(&'text [u8], usize)> {
        let quote = self.bytes[from];
        let mut at = from + 1;
        loop {
            match self.byte(at)? {
                b'\n' => return None,
                b'\\' if quote == b'"' => {
                    if !matches!(self.byte(at + 1)?, b'"' | b'\\' | b'n' | b't' | b'r') {
                        return None;
                    }
                    at += 1;
                }
                b'\'' if quote == b'\'' && self.byte(at + 1) == Some(b'\'') => at += 1,
                byte if byte == quote => return Some((&self.bytes[from + 1..at], at + 1)),
                _ => {}
            }
            at += 1;
        }
    }

    /// Notes where the value of a key is, if it is one of those that name an object.
    fn note(&mut self, place: Place, key: &[u8], from: usize) {
        let part = match (place, key) {
            (Place::Root, b"apiVersion") => 0,
            (Place::Root, b"kind") => 1,
            (Place::Metadata, b"namespace") => 2,
            (Place::Metadata, b"name") => 3,
            _ => return,
        };
        self.head[part] = Some((from, self.out.len()));
    }

    fn read_head(&self) -> Option<Head> {
        let [version, kind, namespace, name] = self.head.map(|range| {
            let json = range.map(|(from, to)| &self.out[from..to]).filter(|json| json[0] == b'"');
            json.and_then(|json| serde_json::from_slice::<String>(json).ok())
        });
        let kind = kind.filter(|kind| !kind.is_empty())?;
        Some((version?, kind, namespace.unwrap_or_default(), name.unwrap_or_default()))
    }
}

fn inner(place: Place, key: &[u8]) -> Place {
    if place == Place::Root && key == b"metadata" { Place::Metadata } else { Place::Other }
}
