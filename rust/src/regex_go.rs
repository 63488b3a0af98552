//! Go's regular expressions (RE2), translated to the `regex` crate: the same matches, or a refusal.
//!
//! Source: Go `regexp/syntax/parse.go`.

use regex::Regex;
use std::cell::RefCell;
use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;

const DIGIT: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";
const SPACE: &str = r"\t\n\x0c\r ";
/// Go refuses more repetitions, also of groups within groups.
const MOST_REPEATS: u64 = 1000;
const CLASS_NAMES: [&str; 14] =
    ["alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit"];
const CATEGORIES: [&str; 13] = ["L", "Lu", "Ll", "Lm", "Lo", "N", "Nd", "P", "S", "Z", "Zs", "M", "C"];

thread_local! {
    static COMPILED: RefCell<HashMap<String, Result<Pattern, String>>> = RefCell::new(HashMap::new());
}

/// A compiled pattern; `ascii_only` where Go agrees on ASCII texts only.
#[derive(Clone)]
pub struct Pattern {
    pub regex: Regex,
    ascii_only: bool,
}

impl Pattern {
    /// Whether Go finds the same in this text.
    pub fn agrees_on(&self, text: &str) -> bool {
        !self.ascii_only || text.is_ascii()
    }
}

/// Compiles a pattern as Go reads it; the error is the reason why Go may read it differently.
pub fn compile(pattern: &str) -> Result<Pattern, String> {
    COMPILED.with_borrow_mut(|known| {
        if let Some(found) = known.get(pattern) {
            return found.clone();
        }
        if known.len() > 2000 {
            known.clear();
        }
        let compiled = translate(pattern).and_then(|(text, ascii_only)| {
            let regex = Regex::new(&text).map_err(|_| "is not valid here".to_owned())?;
            Ok(Pattern { regex, ascii_only })
        });
        known.insert(pattern.to_owned(), compiled.clone());
        compiled
    })
}

struct Translation<'a> {
    letters: Peekable<Chars<'a>>,
    out: String,
    ascii_only: bool,
    /// How often the last atom can repeat what is in it; None where no quantifier may follow.
    atom: Option<u64>,
    /// The most repetitions in each open group.
    groups: Vec<u64>,
}

fn translate(pattern: &str) -> Result<(String, bool), String> {
    let mut work =
        Translation { letters: pattern.chars().peekable(), out: String::new(), ascii_only: false, atom: None, groups: vec![1] };
    while let Some(letter) = work.letters.next() {
        work.step(letter)?;
    }
    if work.groups.len() != 1 {
        return Err("has a group without end".into());
    }
    Ok((work.out, work.ascii_only))
}

fn literal(out: &mut String, letter: char) {
    if letter.is_ascii_alphanumeric() {
        out.push(letter);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(letter)));
    }
}

impl Translation<'_> {
    fn step(&mut self, letter: char) -> Result<(), String> {
        match letter {
            '\\' => self.escape()?,
            '[' => self.class()?,
            '(' => self.group()?,
            ')' => {
                if self.groups.len() == 1 {
                    return Err("has a `)` without `(`".into());
                }
                let most = self.groups.pop().unwrap_or(1);
                self.out.push(')');
                self.finish(most);
            }
            '|' => {
                self.out.push('|');
                self.atom = None;
            }
            '^' | '$' => {
                self.out.push(letter);
                self.atom = None;
            }
            '.' => {
                self.out.push('.');
                self.finish(1);
            }
            '*' | '+' | '?' => {
                let atom = self.atom.take().ok_or("has a quantifier without something to repeat")?;
                self.out.push(letter);
                self.lazy();
                self.note(atom);
            }
            '{' => match self.counts() {
                Some((text, most)) => {
                    let atom = self.atom.take().ok_or("has a quantifier without something to repeat")?;
                    let most = most?.max(1) * atom;
                    if most > MOST_REPEATS {
                        return Err("repeats more than 1000 times".into());
                    }
                    self.out.push_str(&text);
                    self.lazy();
                    self.note(most);
                }
                None => {
                    literal(&mut self.out, '{');
                    self.finish(1);
                }
            },
            _ => {
                literal(&mut self.out, letter);
                self.finish(1);
            }
        }
        Ok(())
    }

    fn finish(&mut self, most: u64) {
        self.atom = Some(most);
        self.note(most);
    }

    fn note(&mut self, most: u64) {
        if let Some(open) = self.groups.last_mut() {
            *open = (*open).max(most);
        }
    }

    fn lazy(&mut self) {
        if self.letters.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
    }

    /// Reads `2}`, `2,}` or `2,5}` after a `{`: the quantifier and its most. None where Go takes the brace as it is.
    fn counts(&mut self) -> Option<(String, Result<u64, String>)> {
        let ahead: String = self.letters.clone().take_while(|letter| *letter != '}').take(16).collect();
        if self.letters.clone().nth(ahead.chars().count()) != Some('}') {
            return None;
        }
        let (low, high) = ahead.split_once(',').map_or((ahead.as_str(), None), |(low, high)| (low, Some(high)));
        let is_number = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
        };
        if !is_number(low) || !high.is_none_or(|high| high.is_empty() || is_number(high)) {
            return None;
        }
        for _ in 0..=ahead.chars().count() {
            self.letters.next();
        }
        let least: u64 = low.parse().unwrap_or(u64::MAX);
        let most: u64 = high.filter(|high| !high.is_empty()).map_or(least, |high| high.parse().unwrap_or(u64::MAX));
        let size = if least > most || most > MOST_REPEATS { Err("has counts that Go refuses".to_owned()) } else { Ok(most) };
        Some((format!("{{{ahead}}}"), size))
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        self.atom = None;
        if self.letters.next_if_eq(&'?').is_some() {
            let mut head = String::new();
            loop {
                let letter = self.letters.next().ok_or("has a group without end")?;
                match letter {
                    'P' | '<' if head.is_empty() => {
                        if letter == 'P' && self.letters.next() != Some('<') {
                            return Err("has a group of an unknown kind".into());
                        }
                        let mut name = String::new();
                        while let Some(part) = self.letters.next_if(|part| part.is_ascii_alphanumeric() || *part == '_') {
                            name.push(part);
                        }
                        let begins = name.chars().next().is_some_and(|first| !first.is_ascii_digit());
                        if self.letters.next() != Some('>') || !begins {
                            return Err("has a group with an unusual name".into());
                        }
                        self.out.push_str(&format!("?P<{name}>"));
                        break;
                    }
                    'i' | 'm' | 's' | 'U' | '-' => {
                        self.ascii_only |= letter == 'i';
                        head.push(letter);
                    }
                    ':' => {
                        self.out.push_str(&format!("?{head}:"));
                        break;
                    }
                    ')' if !head.is_empty() && !head.ends_with('-') => {
                        self.out.push_str(&format!("?{head})"));
                        return Ok(());
                    }
                    _ => return Err("has a group of an unknown kind".into()),
                }
            }
        }
        self.groups.push(1);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        let letter = self.letters.next().ok_or("ends with a backslash")?;
        let class = match letter.to_ascii_lowercase() {
            'd' => DIGIT,
            'w' => WORD,
            's' => SPACE,
            _ => "",
        };
        if !class.is_empty() {
            let not = if letter.is_ascii_uppercase() { "^" } else { "" };
            self.out.push_str(&format!("[{not}{class}]"));
            self.finish(1);
            return Ok(());
        }
        match letter {
            'A' | 'z' | 'b' | 'B' => {
                self.ascii_only |= letter == 'b' || letter == 'B';
                self.out.push('\\');
                self.out.push(letter);
                self.atom = None;
            }
            'Q' => {
                let mut held = String::new();
                while let Some(part) = self.letters.next() {
                    if part == '\\' && self.letters.next_if_eq(&'E').is_some() {
                        break;
                    }
                    held.push(part);
                }
                for part in held.chars() {
                    literal(&mut self.out, part);
                    self.finish(1);
                }
            }
            'p' | 'P' => {
                let name = self.category(letter)?;
                self.out.push_str(&name);
                self.finish(1);
            }
            _ => {
                let held = self.character(letter)?;
                literal(&mut self.out, held);
                self.finish(1);
            }
        }
        Ok(())
    }

    fn category(&mut self, letter: char) -> Result<String, String> {
        let name: String = match self.letters.next() {
            Some('{') => {
                let name: String = self.letters.clone().take_while(|part| *part != '}').collect();
                for _ in 0..=name.chars().count() {
                    self.letters.next();
                }
                name
            }
            Some(part) => part.to_string(),
            None => String::new(),
        };
        if !CATEGORIES.contains(&name.as_str()) {
            return Err(format!("has the class \\{letter}{{{name}}}"));
        }
        // Go and this engine are of different Unicode versions.
        self.ascii_only = true;
        Ok(format!("\\{letter}{{{name}}}"))
    }

    /// The character of an escape, after its backslash.
    fn character(&mut self, letter: char) -> Result<char, String> {
        match letter {
            'a' => Ok('\x07'),
            'f' => Ok('\x0c'),
            't' => Ok('\t'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            'v' => Ok('\x0b'),
            'x' => {
                let digits: String = if self.letters.next_if_eq(&'{').is_some() {
                    let digits: String = self.letters.clone().take_while(|part| *part != '}').collect();
                    for _ in 0..=digits.chars().count() {
                        self.letters.next();
                    }
                    digits
                } else {
                    let two: String = self.letters.by_ref().take(2).collect();
                    if two.len() == 2 { two } else { String::new() }
                };
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                u32::from_str_radix(&digits, 16).ok().filter(|_| is_hex).and_then(char::from_u32).ok_or("has an invalid escape".into())
            }
            '0' | '1'..='7' => {
                let mut digits = letter.to_string();
                while let Some(digit) = self.letters.next_if(|digit| digits.len() < 3 && ('0'..='7').contains(digit)) {
                    digits.push(digit);
                }
                if letter != '0' && digits.len() == 1 {
                    return Err("refers back to a group".into());
                }
                u32::from_str_radix(&digits, 8).ok().and_then(char::from_u32).ok_or("has an invalid escape".into())
            }
            _ if letter.is_ascii() && !letter.is_ascii_alphanumeric() => Ok(letter),
            _ => Err(format!("has the escape \\{letter}")),
        }
    }

    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.letters.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            let letter = self.letters.next().ok_or("has a class without end")?;
            if letter == ']' && !is_first {
                break;
            }
            is_first = false;
            if letter == '[' && self.letters.peek() == Some(&':') {
                let name: String = self.letters.clone().skip(1).take_while(|part| *part != ']').collect();
                if let Some(name) = name.strip_suffix(':') {
                    if !CLASS_NAMES.contains(&name.trim_start_matches('^')) {
                        return Err(format!("has the class [:{name}:]"));
                    }
                    self.out.push_str(&format!("[:{name}:]"));
                    for _ in 0..name.chars().count() + 3 {
                        self.letters.next();
                    }
                    continue;
                }
            }
            if letter == '\\' {
                match self.letters.peek() {
                    Some(part @ ('d' | 'w' | 's' | 'D' | 'W' | 'S')) => {
                        let class = match part.to_ascii_lowercase() {
                            'd' => DIGIT,
                            'w' => WORD,
                            _ => SPACE,
                        };
                        let not = if part.is_ascii_uppercase() { "^" } else { "" };
                        self.out.push_str(&format!("[{not}{class}]"));
                        self.letters.next();
                        continue;
                    }
                    Some(part @ ('p' | 'P')) => {
                        let part = *part;
                        self.letters.next();
                        let name = self.category(part)?;
                        self.out.push_str(&name);
                        continue;
                    }
                    _ => {}
                }
            }
            let low = self.class_character(letter)?;
            let mut ahead = self.letters.clone();
            let mut high = low;
            if ahead.next() == Some('-') && ahead.next().is_some_and(|after| after != ']') {
                self.letters.next();
                let letter = self.letters.next().ok_or("has a class without end")?;
                high = self.class_character(letter)?;
                if low > high {
                    return Err("has a range that ends before it begins".into());
                }
            }
            self.out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)));
        }
        self.out.push(']');
        self.finish(1);
        Ok(())
    }

    fn class_character(&mut self, letter: char) -> Result<char, String> {
        if letter != '\\' {
            return Ok(letter);
        }
        let escaped = self.letters.next().ok_or("ends with a backslash")?;
        self.character(escaped)
    }
}
