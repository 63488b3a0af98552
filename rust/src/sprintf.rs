//! `sprintf` as in OPA: Go's `fmt` on whole numbers, floats and texts. The engine's own is undefined if verbs and values
//! do not match, and a rule with an undefined message loses its finding.
//!
//! Sources: OPA `v1/topdown/strings.go` (builtinSprintf), Go `fmt/print.go` and `fmt/format.go`.

use crate::memory::{check_size, refuse_text, MAX_TEXT};
use regorus::Value;

/// A value as OPA passes it to Go.
enum Given {
    Whole(i64),
    /// More than 64 bits: in decimals, and in the digits of 2, 8 and 16.
    Big([String; 4]),
    Float(f64),
    Text(String),
}

#[derive(Clone, Copy, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// The longest width or precision that Go accepts.
const MOST: i64 = 1_000_000;

pub fn sprintf(arguments: &[Value]) -> anyhow::Result<Value> {
    let (Value::String(format), Value::Array(values)) = (&arguments[0], &arguments[1]) else {
        anyhow::bail!("`sprintf` expects a string and an array");
    };
    check_size("sprintf", std::slice::from_ref(&arguments[1]))?;
    let is_quoted = |value: &Value| format.contains('q') || !matches!(value, Value::String(_));
    let may_escape = values.iter().any(|value| is_quoted(value) && has_unusual_letters(value));
    if may_escape || is_doubtful(format, values.as_slice()) {
        anyhow::bail!("the embedded engine differs from OPA: sprintf: the format {format:?} on such values; set `engine: opa`");
    }
    let given: Vec<Given> = values.iter().map(taken).collect();
    match formatted(format, &given) {
        Some(text) => Ok(Value::from(text)),
        None => refuse_text("sprintf"),
    }
}

/// Whether Go may write a character of a text as an escape where it quotes it: neither ASCII nor a letter or digit.
fn has_unusual_letters(value: &Value) -> bool {
    match value {
        Value::String(text) => text.chars().any(|letter| !letter.is_ascii() && !letter.is_alphanumeric()),
        Value::Array(items) => items.iter().any(has_unusual_letters),
        Value::Set(items) => items.iter().any(has_unusual_letters),
        Value::Object(fields) => fields.iter().any(|(key, held)| has_unusual_letters(key) || has_unusual_letters(held)),
        _ => false,
    }
}

/// The formats that are not rewritten here: a float in binary (`%b`, `%x`), a text in groups or with a prefix (`% x`, `%#x`, `%#q`).
fn is_doubtful(format: &str, values: &[Value]) -> bool {
    if values.iter().any(is_doubtful_number) || values.iter().any(|value| has_small_number(value, false)) {
        return true;
    }
    let has_float = values.iter().any(|value| matches!(value, Value::Number(number) if !number.is_integer()));
    format.split('%').skip(1).any(|part| {
        // Brackets contain the index of a value.
        let mut is_index = false;
        let is_verb = |letter: char| {
            is_index = letter == '[' || is_index && letter != ']';
            !is_index && letter.is_alphabetic()
        };
        let end = part.find(is_verb).unwrap_or(part.len());
        let (flags, verb) = part.split_at(end);
        let is_binary = verb.starts_with(['x', 'X', 'b']);
        let has_flag = flags.contains(['+', ' ', '#']) && !values.iter().all(|value| matches!(value, Value::Number(_)));
        has_float && (is_binary || flags.contains('#')) || has_flag && verb.starts_with(['q', 'x', 'X'])
    })
}

/// A whole number of more than 21 digits: OPA prints it as it was written, with an exponent or without.
fn is_doubtful_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_integer() && number.as_i64().is_none() && number.as_f64().is_none_or(|float| float.abs() >= 1e21),
        Value::Array(items) => items.iter().any(is_doubtful_number),
        Value::Set(items) => items.iter().any(is_doubtful_number),
        Value::Object(fields) => fields.iter_sorted().any(|(key, held)| is_doubtful_number(key) || is_doubtful_number(held)),
        _ => false,
    }
}

/// Whether a collection has a number that is written with an exponent.
fn has_small_number(value: &Value, is_inside: bool) -> bool {
    match value {
        Value::Number(number) => is_inside && number.as_f64().is_some_and(|float| float != 0.0 && float.abs() < 1e-6),
        Value::Array(items) => items.iter().any(|item| has_small_number(item, true)),
        Value::Set(items) => items.iter().any(|item| has_small_number(item, true)),
        Value::Object(fields) => fields.iter_sorted().any(|(key, held)| has_small_number(key, true) || has_small_number(held, true)),
        _ => false,
    }
}

fn taken(value: &Value) -> Given {
    match value {
        Value::String(text) => Given::Text(text.to_string()),
        Value::Number(number) => match (number.is_integer(), number.as_i64(), number.as_f64()) {
            (true, Some(whole), _) => Given::Whole(whole),
            (true, None, _) => Given::Big([number.format_decimal(), number.format_bin(), number.format_octal(), number.format_hex()]),
            (false, _, Some(float)) => Given::Float(float),
            _ => Given::Text(number.format_decimal()),
        },
        other => Given::Text(term(other)),
    }
}

/// A value as OPA writes it in a policy.
fn term(value: &Value) -> String {
    let listed = |items: Vec<String>| items.join(", ");
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(held) => held.to_string(),
        Value::Number(number) => number.format_decimal(),
        Value::String(text) => quoted(text.as_ref(), '"'),
        Value::Array(items) => format!("[{}]", listed(items.iter().map(term).collect())),
        Value::Set(items) if items.is_empty() => "set()".to_owned(),
        Value::Set(items) => format!("{{{}}}", listed(items.iter().map(term).collect())),
        Value::Object(fields) => {
            format!("{{{}}}", listed(fields.iter_sorted().map(|(key, held)| format!("{}: {}", term(key), term(held))).collect()))
        }
        Value::Undefined => String::new(),
    }
}

/// None if the text is too long.
fn formatted(format: &str, given: &[Given]) -> Option<String> {
    let letters: Vec<char> = format.chars().collect();
    let (mut out, mut at, mut next, mut is_reordered) = (String::new(), 0, 0, false);
    while at < letters.len() {
        if out.len() > MAX_TEXT {
            return None;
        }
        if letters[at] != '%' {
            out.push(letters[at]);
            at += 1;
            continue;
        }
        at += 1;
        let mut flags = Flags::default();
        while let Some(letter) = letters.get(at) {
            match letter {
                '+' => flags.plus = true,
                '-' => flags.minus = true,
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                '0' => flags.zero = true,
                _ => break,
            }
            at += 1;
        }
        let mut is_good = index(&letters, &mut at, &mut next, &mut is_reordered, given.len());
        flags.width = size(&letters, &mut at, &mut next, given, &mut out, "WIDTH", &mut flags.minus);
        if letters.get(at) == Some(&'.') {
            at += 1;
            is_good &= index(&letters, &mut at, &mut next, &mut is_reordered, given.len());
            flags.precision = size(&letters, &mut at, &mut next, given, &mut out, "PREC", &mut false).or(Some(0));
        }
        is_good &= index(&letters, &mut at, &mut next, &mut is_reordered, given.len());
        let Some(verb) = letters.get(at).copied() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        at += 1;
        if verb == '%' {
            out.push('%');
        } else if !is_good {
            out.push_str(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = given.get(next) {
            next += 1;
            // Before a `v` these two flags add Go's type names, which these values do not have.
            flags.plus &= verb != 'v';
            let verb = if verb == 'v' && flags.sharp && matches!(value, Given::Text(_)) { 'q' } else { verb };
            flags.sharp &= verb != 'v';
            out.push_str(&one(verb, value, &flags));
        } else {
            out.push_str(&format!("%!{verb}(MISSING)"));
        }
    }
    if !is_reordered && next < given.len() {
        let more: Vec<String> = given[next..].iter().map(|value| format!("{}={}", kind(value), one('v', value, &Flags::default()))).collect();
        out.push_str(&format!("%!(EXTRA {})", more.join(", ")));
    }
    (out.len() <= MAX_TEXT).then_some(out)
}

/// Reads `[3]`: the next value is the third. Returns whether there is such a value, if an index is written.
fn index(letters: &[char], at: &mut usize, next: &mut usize, is_reordered: &mut bool, count: usize) -> bool {
    if letters.get(*at) != Some(&'[') {
        return true;
    }
    *is_reordered = true;
    let Some(end) = letters[*at..].iter().position(|letter| *letter == ']') else {
        *at += 1;
        return false;
    };
    let written: String = letters[*at + 1..*at + end].iter().collect();
    *at += end + 1;
    match written.parse::<usize>() {
        Ok(number) if (1..=count).contains(&number) => {
            *next = number - 1;
            true
        }
        _ => false,
    }
}

/// Reads a width or precision: a number, or `*` for the next value.
fn size(letters: &[char], at: &mut usize, next: &mut usize, given: &[Given], out: &mut String, what: &str, minus: &mut bool) -> Option<usize> {
    if letters.get(*at) == Some(&'*') {
        *at += 1;
        let value = given.get(*next);
        *next += 1;
        return match value {
            Some(Given::Whole(number)) if (-MOST..=MOST).contains(number) && (*number >= 0 || what == "WIDTH") => {
                *minus |= *number < 0;
                Some(number.unsigned_abs() as usize)
            }
            _ => {
                out.push_str(&format!("%!(BAD{what})"));
                None
            }
        };
    }
    let start = *at;
    while letters.get(*at).is_some_and(char::is_ascii_digit) {
        *at += 1;
    }
    let written: String = letters[start..*at].iter().collect();
    written.parse::<i64>().ok().filter(|number| *number <= MOST).map(|number| number as usize)
}

fn kind(value: &Given) -> &'static str {
    match value {
        Given::Whole(_) => "int64",
        Given::Big(_) => "*big.Int",
        Given::Float(_) => "float64",
        Given::Text(_) => "string",
    }
}

fn one(verb: char, value: &Given, flags: &Flags) -> String {
    let text = match (verb, value) {
        ('T', _) => return padded(cut(kind(value), flags), flags, false),
        ('v' | 's', Given::Text(text)) => cut(text, flags),
        ('q', Given::Text(text)) => quoted(&cut(text, flags), '"'),
        ('x' | 'X', Given::Text(text)) => {
            let bytes = text.as_bytes();
            let bytes = &bytes[..flags.precision.unwrap_or(bytes.len()).min(bytes.len())];
            let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            if verb == 'X' { written.to_uppercase() } else { written }
        }
        ('v' | 'd', Given::Whole(whole)) => return number(i128::from(*whole), 10, "", flags),
        ('b', Given::Whole(whole)) => return number(i128::from(*whole), 2, if flags.sharp { "0b" } else { "" }, flags),
        ('o', Given::Whole(whole)) => return number(i128::from(*whole), 8, if flags.sharp { "0" } else { "" }, flags),
        ('O', Given::Whole(whole)) => return number(i128::from(*whole), 8, "0o", flags),
        ('x', Given::Whole(whole)) => return number(i128::from(*whole), 16, if flags.sharp { "0x" } else { "" }, flags),
        ('X', Given::Whole(whole)) => {
            return number(i128::from(*whole), 16, if flags.sharp { "0X" } else { "" }, flags).to_uppercase()
        }
        ('c', Given::Whole(whole)) => letter(*whole).to_string(),
        ('q', Given::Whole(whole)) => quoted(&letter(*whole).to_string(), '\''),
        ('U', Given::Whole(whole)) => format!("U+{:0>1$X}", whole, flags.precision.unwrap_or(4).max(4)),
        ('v' | 'd' | 's', Given::Big([digits, ..])) => return padded(signed(digits.clone(), flags), flags, true),
        ('b', Given::Big([_, digits, ..])) => return padded(signed(digits.clone(), flags), flags, true),
        ('o' | 'O', Given::Big([_, _, digits, _])) => {
            let prefix = if verb == 'O' { "0o" } else { "" };
            return padded(signed(format!("{prefix}{digits}"), flags), flags, true);
        }
        ('x', Given::Big([.., digits])) => return padded(signed(digits.clone(), flags), flags, true),
        ('X', Given::Big([.., digits])) => return padded(signed(digits.to_uppercase(), flags), flags, true),
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'v', Given::Float(float)) => return padded(signed(real(verb, *float, flags), flags), flags, true),
        // Go names the type without its `*` here.
        (_, value) => return format!("%!{verb}({}={})", kind(value).trim_start_matches('*'), one('v', value, flags)),
    };
    padded(text, flags, false)
}

fn cut(text: &str, flags: &Flags) -> String {
    text.chars().take(flags.precision.unwrap_or(usize::MAX)).collect()
}

/// A text as Go writes it in its source (`strconv.Quote`).
fn quoted(text: &str, mark: char) -> String {
    let mut out = String::from(mark);
    for letter in text.chars() {
        match letter {
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            _ if letter == mark => {
                out.push('\\');
                out.push(mark);
            }
            _ if letter < ' ' || letter == '\x7f' => out.push_str(&format!("\\x{:02x}", u32::from(letter))),
            _ if letter.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    out.push(mark);
    out
}

fn letter(code: i64) -> char {
    u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn number(whole: i128, base: u32, prefix: &str, flags: &Flags) -> String {
    let size = whole.unsigned_abs();
    let digits = match base {
        2 => format!("{size:b}"),
        8 => format!("{size:o}"),
        16 => format!("{size:x}"),
        _ => size.to_string(),
    };
    let digits = match flags.precision {
        Some(0) if whole == 0 => String::new(),
        Some(count) => format!("{}{digits}", "0".repeat(count.saturating_sub(digits.len()))),
        None => digits,
    };
    let prefix = if prefix == "0" && digits.starts_with('0') { "" } else { prefix };
    let text = format!("{}{prefix}{digits}", if whole < 0 { "-" } else { "" });
    // A precision is the number of digits, so no further zeros precede them.
    let zero = flags.zero && flags.precision.is_none();
    padded(signed(text, flags), &Flags { zero, ..*flags }, true)
}

fn signed(text: String, flags: &Flags) -> String {
    match (text.starts_with('-'), flags.plus, flags.space) {
        (false, true, _) => format!("+{text}"),
        (false, false, true) => format!(" {text}"),
        _ => text,
    }
}

fn real(verb: char, float: f64, flags: &Flags) -> String {
    let text = match (verb, flags.precision) {
        ('f' | 'F', precision) => format!("{float:.*}", precision.unwrap_or(6)),
        ('e' | 'E', precision) => exponent(format!("{float:.*e}", precision.unwrap_or(6))),
        (_, precision) => general(float, precision),
    };
    if verb == 'E' || verb == 'G' { text.to_uppercase() } else { text }
}

/// Go writes an exponent with its sign and two digits at least.
fn exponent(text: String) -> String {
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, size) = power.strip_prefix('-').map_or(('+', power), |size| ('-', size));
    format!("{digits}e{sign}{size:0>2}")
}

fn general(float: f64, precision: Option<usize>) -> String {
    let shortest = match precision {
        Some(count) => format!("{float:.*e}", count.max(1) - 1),
        None => format!("{float:e}"),
    };
    let (digits, power) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let power: i64 = power.parse().unwrap_or(0);
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    let most = precision.map_or(6, |count| count.max(1) as i64);
    if power < -4 || power >= most {
        return exponent(format!("{digits}e{power}"));
    }
    let plain = match precision {
        Some(count) => format!("{float:.*}", usize::try_from(count.max(1) as i64 - 1 - power).unwrap_or(0)),
        None => format!("{float}"),
    };
    if plain.contains('.') { plain.trim_end_matches('0').trim_end_matches('.').to_owned() } else { plain }
}

fn padded(text: String, flags: &Flags, is_number: bool) -> String {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    if flags.minus {
        return format!("{text}{}", " ".repeat(missing));
    }
    if !flags.zero || text.starts_with("U+") {
        return format!("{}{text}", " ".repeat(missing));
    }
    let sign = usize::from(is_number && text.starts_with(['-', '+', ' ']));
    format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..])
}
