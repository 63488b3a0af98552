//! Builtins that the engine evaluates differently from OPA: they return OPA's value, or an error if that is not certain.

use crate::numbers::{arithmetic, fold};
use crate::memory::{check_size, is_exceeded, refuse_entries, refuse_text, EXCEEDED, MAX_ENTRIES, MAX_TEXT};
use crate::{globs, regex_go};
use anyhow::{bail, Result};
use pyo3::prelude::*;
use regorus::unstable::{Expr, Ref, Span, BUILTINS};
use regorus::{Engine, LimitError, Source, Value};
use std::cmp::Ordering;
use std::collections::BTreeSet;

const RFC3339_SHAPE: &str = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$";

type Builtin = fn(&[Value]) -> Result<Value>;

const ALL: &[(&str, u8, Builtin)] = &[
    ("gatekeeper_add", 2, |a| arithmetic('+', &a[0], &a[1])),
    ("gatekeeper_subtract", 2, |a| arithmetic('-', &a[0], &a[1])),
    ("gatekeeper_multiply", 2, |a| arithmetic('*', &a[0], &a[1])),
    ("gatekeeper_divide", 2, |a| arithmetic('/', &a[0], &a[1])),
    ("gatekeeper_remainder", 2, |a| arithmetic('%', &a[0], &a[1])),
    ("sum", 1, |a| fold('+', 0, &a[0])),
    ("product", 1, |a| fold('*', 1, &a[0])),
    ("count", 1, count),
    ("semver.compare", 2, semver_compare),
    ("semver.is_valid", 1, |a| Ok(Value::from(text(&a[0]).is_some_and(|text| version(text).is_some())))),
    ("regex.match", 2, regex_match),
    ("regex.is_valid", 1, regex_is_valid),
    ("regex.find_n", 3, |a| regex_guarded("regex.find_n", a, 0, 1)),
    ("regex.find_all_string_submatch_n", 3, |a| regex_guarded("regex.find_all_string_submatch_n", a, 0, 1)),
    ("regex.split", 2, |a| regex_guarded("regex.split", a, 0, 1)),
    ("regex.replace", 3, regex_replace),
    ("regex.template_match", 4, template_match),
    ("glob.match", 3, glob_match),
    ("upper", 1, |a| letters("upper", &a[0])),
    ("lower", 1, |a| letters("lower", &a[0])),
    ("indexof", 2, indexof),
    ("indexof_n", 2, |a| if text(&a[1]) == Some("") { Ok(Value::Undefined) } else { own("indexof_n", a) }),
    ("replace", 3, replace),
    ("concat", 2, concat),
    ("array.concat", 2, array_concat),
    ("object.union", 2, |a| sized("object.union", a)),
    ("object.union_n", 1, |a| sized("object.union_n", a)),
    ("yaml.marshal", 1, |a| sized("yaml.marshal", a)),
    ("base64.encode", 1, |a| own("base64.encode", a)),
    ("base64url.encode", 1, |a| own("base64url.encode", a)),
    ("base64url.encode_no_pad", 1, |a| own("base64url.encode_no_pad", a)),
    ("hex.encode", 1, |a| own("hex.encode", a)),
    ("json.is_valid", 1, |a| is_readable("json.unmarshal", a)),
    ("yaml.is_valid", 1, |a| is_readable("yaml.unmarshal", a)),
    ("numbers.range_step", 3, range_step),
    ("glob.quote_meta", 1, quote_meta),
    ("ceil", 1, |a| round("ceil", a)),
    ("floor", 1, |a| round("floor", a)),
    ("units.parse", 1, |a| units("units.parse", a)),
    ("units.parse_bytes", 1, |a| units("units.parse_bytes", a)),
    ("net.cidr_contains", 2, cidr_contains),
    ("net.cidr_expand", 1, cidr_expand),
    ("numbers.range", 2, range),
    ("time.format", 1, time_format),
    ("to_number", 1, to_number),
    ("json.marshal", 1, |a| json_marshal("json.marshal", a)),
    ("json.marshal_with_options", 2, |a| json_marshal("json.marshal_with_options", a)),
    ("json.unmarshal", 1, json_unmarshal),
    ("yaml.unmarshal", 1, yaml_unmarshal),
    ("base64.decode", 1, |a| base64("base64.decode", &a[0])),
    ("base64.is_valid", 1, |a| base64("base64.is_valid", &a[0])),
    ("base64url.decode", 1, |a| base64("base64url.decode", &a[0])),
    ("hex.decode", 1, |a| base64("hex.decode", &a[0])),
    ("urlquery.decode", 1, urlquery_decode),
    ("urlquery.decode_object", 1, decode_object),
    ("urlquery.encode", 1, |a| urlquery_encode("urlquery.encode", &a[0])),
    ("urlquery.encode_object", 1, |a| urlquery_encode("urlquery.encode_object", &a[0])),
    ("bits.lsh", 2, |a| small("bits.lsh", a)),
    ("bits.rsh", 2, |a| small("bits.rsh", a)),
    ("bits.and", 2, |a| small("bits.and", a)),
    ("bits.or", 2, |a| small("bits.or", a)),
    ("bits.xor", 2, |a| small("bits.xor", a)),
    ("bits.negate", 1, |a| small("bits.negate", a)),
    ("trace", 1, |a| Ok(if text(&a[0]).is_some() { Value::from(true) } else { Value::Undefined })),
    ("time.diff", 2, time_diff),
    ("format_int", 2, format_int),
    ("substring", 3, substring),
    ("object.subset", 2, subset),
    ("json.filter", 2, |a| at_paths("json.filter", a)),
    ("json.remove", 2, |a| at_paths("json.remove", a)),
    ("net.cidr_is_valid", 1, |a| if text(&a[0]).is_some() { own("net.cidr_is_valid", a) } else { Ok(Value::from(false)) }),
    ("time.parse_rfc3339_ns", 1, parse_rfc3339),
    ("time.parse_ns", 2, parse_time),
    ("time.add_date", 4, add_date),
];

/// The collections that a builtin accepts as its arguments: (a)rrays, (s)ets, (o)bjects. The error of the engine's
/// builtins shows a value of any other kind, which may have no end.
const KINDS: &[(&str, [&str; 3])] = &[
    ("gatekeeper_add", ["aso", "aso", ""]),
    ("gatekeeper_subtract", ["aso", "aso", ""]),
    ("gatekeeper_multiply", ["aso", "aso", ""]),
    ("gatekeeper_divide", ["aso", "aso", ""]),
    ("gatekeeper_remainder", ["aso", "aso", ""]),
    ("count", ["aso", "", ""]),
    ("sum", ["as", "", ""]),
    ("product", ["as", "", ""]),
    ("max", ["as", "", ""]),
    ("min", ["as", "", ""]),
    ("sort", ["as", "", ""]),
    ("concat", ["aso", "aso", ""]),
    ("sprintf", ["aso", "aso", ""]),
    ("array.concat", ["aso", "aso", ""]),
    ("array.reverse", ["a", "", ""]),
    ("array.slice", ["a", "", ""]),
    ("object.get", ["o", "aso", "aso"]),
    ("object.keys", ["o", "", ""]),
    ("object.filter", ["o", "aso", ""]),
    ("object.remove", ["o", "aso", ""]),
    ("object.subset", ["aso", "aso", ""]),
    ("json.filter", ["o", "aso", ""]),
    ("json.remove", ["o", "aso", ""]),
    ("is_array", ["aso", "", ""]),
    ("is_boolean", ["aso", "", ""]),
    ("is_null", ["aso", "", ""]),
    ("is_number", ["aso", "", ""]),
    ("is_object", ["aso", "", ""]),
    ("is_set", ["aso", "", ""]),
    ("is_string", ["aso", "", ""]),
    ("type_name", ["aso", "", ""]),
];

/// The builtins that the engine calls in a way of its own: `walk` in loops, the others once per evaluation.
const PLAIN: [&str; 5] = ["walk", "opa.runtime", "rand.intn", "time.now_ns", "uuid.rfc4122"];

/// Replaces the engine's own builtins with these, and limits what all of them may return.
pub fn add(engine: &mut Engine) {
    for (name, count, builtin) in ALL {
        limit(engine, name, *count, *builtin);
    }
    for (name, (builtin, count)) in BUILTINS.iter() {
        if !PLAIN.contains(name) && *name != "sprintf" && !ALL.iter().any(|(other, _, _)| other == name) {
            limit(engine, name, *count, |a| call(name, *builtin, a));
        }
    }
}

/// Adds a builtin that neither returns a text that is too long nor shows a value that is.
pub fn limit(engine: &mut Engine, name: &'static str, count: u8, builtin: impl Fn(&[Value]) -> Result<Value> + Clone + Send + Sync + 'static) {
    let kinds = KINDS.iter().find(|(other, _)| *other == name).map_or([""; 3], |(_, kinds)| *kinds);
    let limited = move |arguments: Vec<Value>| {
        for (place, argument) in arguments.iter().enumerate() {
            let kind = match argument {
                Value::Array(_) => 'a',
                Value::Set(_) => 's',
                Value::Object(_) => 'o',
                _ => continue,
            };
            if !kinds.get(place).is_some_and(|kinds| kinds.contains(kind)) {
                check_size(name, std::slice::from_ref(argument))?;
            }
        }
        match builtin(&arguments)? {
            Value::String(text) if text.len() > MAX_TEXT => refuse_text(name),
            value => Ok(value),
        }
    };
    let _ = engine.add_extension(name.into(), count, Box::new(limited));
}

fn doubt<T>(name: &str, reason: &str) -> Result<T> {
    bail!("the embedded engine differs from OPA: {name}: {reason}; set `engine: opa`")
}

/// The engine's own builtin; its errors are undefined, as in OPA.
fn own(name: &str, arguments: &[Value]) -> Result<Value> {
    match BUILTINS.get(name) {
        Some(builtin) => call(name, builtin.0, arguments),
        None => doubt(name, "it is missing"),
    }
}

type Own = fn(&Span, &[Ref<Expr>], &[Value], bool) -> Result<Value>;

/// Calls a builtin of the engine; its errors are undefined, but for those of a limit.
fn call(name: &str, builtin: Own, arguments: &[Value]) -> Result<Value> {
    thread_local! {
        static PLACE: Option<(Span, Vec<Ref<Expr>>)> = {
            Source::from_contents("builtin".into(), "null".into()).ok().map(|source| {
                let span = Span { source, line: 1, col: 1, start: 0, end: 4 };
                let one = || Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
                (span.clone(), (0..4).map(|_| one()).collect())
            })
        };
    }
    PLACE.with(|place| match place {
        Some((span, params)) => match builtin(span, &params[..arguments.len()], arguments, false) {
            // Parsers pass the error of a limit on as a text, or below one of their own.
            Err(error) if error.is::<LimitError>() || is_exceeded(&format!("{error:#}")) => bail!("{EXCEEDED}"),
            made => Ok(made.unwrap_or(Value::Undefined)),
        },
        None => doubt(name, "it cannot be called"),
    })
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn count(a: &[Value]) -> Result<Value> {
    match text(&a[0]) {
        Some(text) => Ok(Value::from(text.chars().count() as i64)),
        None => own("count", a),
    }
}

type Version<'a> = ([i64; 3], &'a str);

/// Source: OPA `internal/semver/semver.go`.
fn version(text: &str) -> Option<Version<'_>> {
    let is_identifiers = |text: &str| {
        text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
    };
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, metadata) = text.split_once('+').map_or((text, None), |(text, held)| (text, Some(held)));
    let (text, before) = text.split_once('-').map_or((text, None), |(text, held)| (text, Some(held)));
    let is_padded = |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit());
    if !metadata.is_none_or(is_identifiers) || !before.is_none_or(|held| is_identifiers(held) && !held.split('.').any(is_padded)) {
        return None;
    }
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &str| {
        let is_good = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
        part.parse::<i64>().ok().filter(|_| is_good)
    };
    let [major, minor, patch] = parts[..] else { return None };
    Some(([number(major)?, number(minor)?, number(patch)?], before.unwrap_or("")))
}

fn semver_compare(a: &[Value]) -> Result<Value> {
    let (Some(left), Some(right)) = (text(&a[0]).and_then(version), text(&a[1]).and_then(version)) else {
        return Ok(Value::Undefined);
    };
    let order = left.0.cmp(&right.0).then_with(|| match (left.1, right.1) {
        (first, second) if first == second => Ordering::Equal,
        ("", _) => Ordering::Greater,
        (_, "") => Ordering::Less,
        (first, second) => before_release(first, second),
    });
    Ok(Value::from(order as i64))
}

fn before_release(left: &str, right: &str) -> Ordering {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let number = |part: &str| part.parse::<i64>().unwrap_or(i64::MAX);
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(first), Some(second)) => match (is_number(first), is_number(second)) {
                (true, true) => number(first).cmp(&number(second)),
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => first.cmp(second),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn compiled(name: &str, pattern: &str, held: &str) -> Result<regex_go::Pattern> {
    match regex_go::compile(pattern) {
        Ok(found) if found.agrees_on(held) => Ok(found),
        Ok(_) => doubt(name, &format!("the pattern {pattern:?} on a text that is not ASCII")),
        Err(reason) => doubt(name, &format!("the pattern {pattern:?} {reason}")),
    }
}

fn regex_match(a: &[Value]) -> Result<Value> {
    let (Some(pattern), Some(held)) = (text(&a[0]), text(&a[1])) else { return Ok(Value::Undefined) };
    Ok(Value::from(compiled("regex.match", pattern, held)?.regex.is_match(held)))
}

fn regex_is_valid(a: &[Value]) -> Result<Value> {
    match text(&a[0]) {
        Some(pattern) => compiled("regex.is_valid", pattern, "").map(|_| Value::from(true)),
        None => Ok(Value::from(false)),
    }
}

/// The engine's own builtin on the translated pattern.
fn regex_guarded(name: &str, a: &[Value], pattern: usize, held: usize) -> Result<Value> {
    let (Some(words), Some(held)) = (text(&a[pattern]), text(&a[held])) else { return Ok(Value::Undefined) };
    let found = compiled(name, words, held)?;
    if found.regex.find_iter(held).any(|part| part.range().is_empty()) {
        return doubt(name, &format!("the pattern {words:?} matches an empty text"));
    }
    let mut arguments = a.to_vec();
    arguments[pattern] = Value::from(found.regex.as_str());
    own(name, &arguments)
}

fn regex_replace(a: &[Value]) -> Result<Value> {
    if let (Some(held), Some(words), Some(new)) = (text(&a[0]), text(&a[1]), text(&a[2])) {
        // Each `$` may stand for all that the pattern matches.
        let groups = new.bytes().filter(|byte| *byte == b'$').count().saturating_mul(held.len());
        let found = compiled("regex.replace", words, held)?;
        if groups > MAX_TEXT || is_too_long(held, new.len(), || found.regex.find_iter(held).count()) {
            return refuse_text("regex.replace");
        }
        let mut parts = new.split('$');
        parts.next();
        let is_plain = |part: &str| part.starts_with(|letter: char| letter.is_ascii_digit() || letter.is_ascii_alphabetic());
        let in_braces = |part: &str| {
            part.strip_prefix('{').and_then(|part| part.split_once('}')).is_some_and(|(name, _)| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            })
        };
        if !parts.all(|part| part.is_ascii() && (is_plain(part) || in_braces(part))) {
            return doubt("regex.replace", &format!("the replacement {new:?}"));
        }
    }
    regex_guarded("regex.replace", a, 1, 0)
}

/// Source: OPA `v1/topdown/regex_template.go`.
fn template_match(a: &[Value]) -> Result<Value> {
    const NAME: &str = "regex.template_match";
    let (Some(template), Some(held), Some(open), Some(close)) = (text(&a[0]), text(&a[1]), text(&a[2]), text(&a[3])) else {
        return Ok(Value::Undefined);
    };
    let (&[open], &[close]) = (open.as_bytes(), close.as_bytes()) else { return doubt(NAME, "its delimiters") };
    if !template.is_ascii() || open == close {
        return doubt(NAME, "its template");
    }
    let (mut pattern, mut level, mut inner) = (String::from("^"), 0, String::new());
    for byte in template.bytes() {
        let letter = char::from(byte);
        if byte == open {
            level += 1;
            if level == 1 {
                continue;
            }
        } else if byte == close {
            level -= 1;
            if level < 0 {
                return doubt(NAME, "its delimiters");
            }
            if level == 0 {
                compiled(NAME, &inner, held)?;
                pattern.push_str(&format!("({})", std::mem::take(&mut inner)));
                continue;
            }
        }
        if level > 0 {
            inner.push(letter);
        } else {
            pattern.push_str(&format!("\\x{{{:x}}}", u32::from(letter)));
        }
    }
    if level != 0 {
        return doubt(NAME, "its delimiters");
    }
    pattern.push('$');
    Ok(Value::from(compiled(NAME, &pattern, held)?.regex.is_match(held)))
}

fn glob_match(a: &[Value]) -> Result<Value> {
    let (Some(pattern), Some(held)) = (text(&a[0]), text(&a[2])) else { return Ok(Value::Undefined) };
    let separators: Option<Vec<char>> = match &a[1] {
        Value::Null => Some(Vec::new()),
        Value::Array(items) if items.is_empty() => Some(vec!['.']),
        Value::Array(items) => items
            .iter()
            .map(|item| {
                let mut letters = text(item)?.chars();
                letters.next().filter(|_| letters.next().is_none())
            })
            .collect(),
        _ => None,
    };
    let Some(separators) = separators else { return Ok(Value::Undefined) };
    match globs::matches(pattern, &separators, held) {
        Ok(found) => Ok(Value::from(found)),
        Err(reason) => doubt("glob.match", &format!("the pattern {pattern:?} {reason}")),
    }
}

fn letters(name: &str, value: &Value) -> Result<Value> {
    let Some(held) = text(value) else { return Ok(Value::Undefined) };
    let is_upper = name == "upper";
    let mut out = String::new();
    for letter in held.chars() {
        let changed: Vec<char> = if is_upper { letter.to_uppercase().collect() } else { letter.to_lowercase().collect() };
        match changed[..] {
            [one] => out.push(one),
            _ => return doubt(name, &format!("the letter {letter:?}")),
        }
    }
    Ok(Value::from(out))
}

fn indexof(a: &[Value]) -> Result<Value> {
    let (Some(held), Some(part)) = (text(&a[0]), text(&a[1])) else { return Ok(Value::Undefined) };
    if part.is_empty() {
        return Ok(Value::Undefined);
    }
    Ok(Value::from(held.find(part).map_or(-1, |at| held[..at].chars().count() as i64)))
}

fn to_number(a: &[Value]) -> Result<Value> {
    let Some(held) = text(&a[0]) else { return own("to_number", a) };
    let digits = held.strip_prefix('-').unwrap_or(held);
    let (whole, part) = digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = are_digits(whole) && (whole == "0" || !whole.starts_with('0')) && part.is_none_or(are_digits) && digits.len() <= 16;
    if is_plain {
        return own("to_number", a);
    }
    let lower = held.to_ascii_lowercase();
    let is_hopeful = held.bytes().any(|byte| byte.is_ascii_digit()) && lower.bytes().all(|byte| b"0123456789+-._abcdefxp".contains(&byte));
    if is_hopeful {
        return doubt("to_number", &format!("the text {held:?}"));
    }
    Ok(Value::Undefined)
}

/// The longest indent and prefix of `json.marshal_with_options`.
const MAX_INDENT: usize = 16;

fn json_marshal(name: &str, a: &[Value]) -> Result<Value> {
    if a.get(1).is_some_and(|options| options.to_string().contains(['<', '>', '&'])) {
        return doubt(name, "these options");
    }
    check_size(name, a)?;
    if let Some(Value::Object(options)) = a.get(1) {
        // An indent or a prefix of each line.
        let longest = options.iter().filter_map(|(_, held)| text(held)).map(str::len).max().unwrap_or(0);
        if longest > MAX_INDENT {
            return refuse_text(name);
        }
    }
    let made = own(name, a)?;
    let Some(made) = text(&made) else { return Ok(Value::Undefined) };
    let mut is_text = false;
    let mut before = ' ';
    for letter in made.chars() {
        if letter == '"' && before != '\\' {
            is_text = !is_text;
        }
        if !is_text && (letter == '.' || letter == 'e' && before.is_ascii_digit()) {
            return doubt(name, "a number that is not whole");
        }
        before = if before == '\\' && letter == '\\' { ' ' } else { letter };
    }
    let changed = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
    Ok(Value::from(changed.iter().fold(made.to_owned(), |made, (letter, new)| made.replace(*letter, new))))
}

fn json_unmarshal(a: &[Value]) -> Result<Value> {
    let Some(held) = text(&a[0]) else { return Ok(Value::Undefined) };
    let (mut is_text, mut is_escaped, mut digits, mut before) = (false, false, 0, ' ');
    for letter in held.chars() {
        if is_text && is_escaped {
            is_escaped = false;
        } else if letter == '"' {
            is_text = !is_text;
        } else if is_text {
            is_escaped = letter == '\\';
        } else {
            digits = if letter.is_ascii_digit() { digits + 1 } else if letter == '.' { digits } else { 0 };
            if digits > 16 || before.is_ascii_digit() && letter.eq_ignore_ascii_case(&'e') {
                return doubt("json.unmarshal", "a number with an exponent or many digits");
            }
        }
        before = letter;
    }
    if held.contains("\\ud") || held.contains("\\uD") {
        return doubt("json.unmarshal", "half of a character");
    }
    own("json.unmarshal", a)
}

fn yaml_unmarshal(a: &[Value]) -> Result<Value> {
    let Some(held) = text(&a[0]) else { return Ok(Value::Undefined) };
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "~", "null", "true"];
    let is_word = |token: &str| {
        let lower = token.to_ascii_lowercase();
        WORDS.contains(&lower.as_str()) && !matches!(token, "null" | "true") || lower == "false" && token != "false"
    };
    let is_number = |token: &str| {
        let token = token.strip_prefix(['+', '-']).unwrap_or(token);
        let plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
        token.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.') && !(plain && token.len() < 16)
    };
    let doubtful = held.split(|letter: char| letter.is_whitespace() || ",[]{}\"'".contains(letter)).any(|token| {
        let token = token.trim_end_matches(':');
        is_word(token) || is_number(token) || token == "<<" || token.starts_with(['&', '*', '!', '%', '@', '`', '|', '>', '?', '='])
    });
    if doubtful || held.contains("---") || held.contains("...") || held.contains('\t') || held.contains('\\') || held.contains(['\r', '\u{85}', '\u{feff}']) {
        return doubt("yaml.unmarshal", "this text");
    }
    match own("yaml.unmarshal", a)? {
        Value::Undefined => doubt("yaml.unmarshal", "a text that the engine cannot parse as YAML"),
        value => Ok(value),
    }
}

/// Go skips line ends in base64, accepts last bits other than zeros, and keeps bytes that are not UTF-8.
fn base64(name: &str, value: &Value) -> Result<Value> {
    let is_check = name == "base64.is_valid";
    let wrong = if is_check { Value::from(false) } else { Value::Undefined };
    let Some(held) = text(value) else { return Ok(wrong) };
    if name == "hex.decode" {
        return whole(name, own(name, &[value.clone()])?);
    }
    let is_url = name == "base64url.decode";
    let has_ends = held.contains(['\r', '\n']);
    if is_url && has_ends {
        return doubt(name, "a text with line ends");
    }
    let plain = held.replace(['\r', '\n'], "");
    let others = if is_url { "-_=" } else { "+/=" };
    if !plain.chars().all(|letter| letter.is_ascii_alphanumeric() || others.contains(letter)) || !is_url && plain.len() % 4 != 0 {
        return Ok(wrong);
    }
    let made = own(name, &[Value::from(plain)])?;
    if made == wrong {
        return doubt(name, "a text that the engine cannot read");
    }
    whole(name, made)
}

/// The engine's own builtin on values whose text is not too long.
fn sized(name: &str, a: &[Value]) -> Result<Value> {
    check_size(name, a)?;
    own(name, a)
}

fn concat(a: &[Value]) -> Result<Value> {
    let lengths: Option<Vec<usize>> = match &a[1] {
        Value::Array(items) => items.iter().map(|item| text(item).map(str::len)).collect(),
        Value::Set(items) => items.iter().map(|item| text(item).map(str::len)).collect(),
        _ => None,
    };
    let (Some(delimiter), Some(lengths)) = (text(&a[0]), lengths) else { return Ok(Value::Undefined) };
    if lengths.iter().fold(0, |sum: usize, length| sum.saturating_add(length + delimiter.len())) > MAX_TEXT + delimiter.len() {
        return refuse_text("concat");
    }
    own("concat", a)
}

fn array_concat(a: &[Value]) -> Result<Value> {
    let (Value::Array(left), Value::Array(right)) = (&a[0], &a[1]) else { return Ok(Value::Undefined) };
    if left.len() + right.len() > MAX_ENTRIES as usize {
        return refuse_entries("array.concat");
    }
    own("array.concat", a)
}

/// Whether the engine can parse a text. The engine's own builtin calls a text that needs too much memory invalid.
fn is_readable(name: &str, a: &[Value]) -> Result<Value> {
    Ok(Value::from(text(&a[0]).is_some() && own(name, a)? != Value::Undefined))
}

/// Whether `count` parts of a text that become `new` make it too long.
fn is_too_long(held: &str, new: usize, count: impl FnOnce() -> usize) -> bool {
    let length = |count: usize| count.saturating_mul(new).saturating_add(held.len());
    length(held.len() + 1) > MAX_TEXT && length(count()) > MAX_TEXT
}

fn replace(a: &[Value]) -> Result<Value> {
    if let (Some(held), Some(old), Some(new)) = (text(&a[0]), text(&a[1]), text(&a[2])) {
        if is_too_long(held, new.len(), || held.matches(old).count()) {
            return refuse_text("replace");
        }
    }
    match (text(&a[0]), text(&a[1])) {
        (Some(held), Some("")) if !held.is_ascii() => doubt("replace", "of nothing in a text that is not ASCII"),
        _ => own("replace", a),
    }
}

fn quote_meta(a: &[Value]) -> Result<Value> {
    let Some(held) = text(&a[0]) else { return Ok(Value::Undefined) };
    let mut out = String::new();
    for letter in held.chars() {
        if "*?\\[]{}".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    Ok(Value::from(out))
}

fn round(name: &str, a: &[Value]) -> Result<Value> {
    match &a[0] {
        Value::Number(number) if number.as_f64().is_none_or(|float| float > -1.0 && float < 0.0) => doubt(name, "this number"),
        _ => own(name, a),
    }
}

fn units(name: &str, a: &[Value]) -> Result<Value> {
    let Some(held) = text(&a[0]) else { return Ok(Value::Undefined) };
    let lower = held.trim_matches('"').to_ascii_lowercase();
    let has_exponent = lower.split_once('e').is_some_and(|(_, after)| after.contains(|letter: char| letter.is_ascii_digit()));
    // OPA cuts the parts of a byte, and the engine rounds them.
    let is_whole = |part: &str| {
        let (digits, unit) = part.split_at(part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len()));
        let is_binary = unit.len() > 1 && unit.as_bytes()[1] == b'i';
        if is_binary { ["5", "25", "75"].contains(&digits) } else { !unit.is_empty() && unit.is_ascii() && digits.len() <= 3 }
    };
    let is_part = name == "units.parse_bytes" && lower.split_once('.').is_some_and(|(_, part)| !is_whole(part));
    let has_open_part = lower.match_indices('.').any(|(at, _)| {
        let is_digit = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_digit());
        !is_digit(lower[..at].chars().next_back()) || !is_digit(lower[at + 1..].chars().next())
    });
    if lower.contains('_') || lower.ends_with(['n', 'u']) || has_exponent || is_part || has_open_part || lower.bytes().filter(u8::is_ascii_digit).count() > 15 {
        return doubt(name, &format!("the text {held:?}"));
    }
    let made = own(name, a)?;
    if is_large(&made) {
        return doubt(name, &format!("the text {held:?}, a number of more than 53 bits"));
    }
    Ok(made)
}

/// Whether a number is so large that a float does not hold each whole number of its size.
fn is_large(value: &Value) -> bool {
    matches!(value, Value::Number(number) if number.as_f64().is_none_or(|float| float.abs() >= (1i64 << 53) as f64))
}

fn is_whole(value: &Value) -> bool {
    matches!(value, Value::Number(number) if number.is_integer() && number.as_i64().is_some())
}

fn format_int(a: &[Value]) -> Result<Value> {
    if !is_whole(&a[0]) && (is_large(&a[0]) || matches!(&a[0], Value::Number(number) if number.as_f64().is_some_and(|float| float < 0.0))) {
        return doubt("format_int", "this number");
    }
    own("format_int", a)
}

fn substring(a: &[Value]) -> Result<Value> {
    if a[1..].iter().all(is_whole) {
        return own("substring", a);
    }
    Ok(Value::Undefined)
}

/// Source: OPA `v1/topdown/subset.go`.
fn subset(a: &[Value]) -> Result<Value> {
    match (&a[0], &a[1]) {
        (Value::Object(_), Value::Object(_)) | (Value::Set(_), Value::Set(_)) | (Value::Array(_), Value::Array(_)) => own("object.subset", a),
        // As OPA counts: an item that the array has twice counts twice.
        (Value::Array(items), Value::Set(part)) => {
            let found = items.iter().filter(|item| part.contains(item)).count();
            Ok(Value::from(!items.is_empty() && found >= part.len()))
        }
        _ => Ok(Value::Undefined),
    }
}

/// The builtins that take paths into an object: each step has a name, and leads into an object or array.
///
/// Source: OPA `v1/topdown/json.go` (`getJSONPaths`).
fn at_paths(name: &str, a: &[Value]) -> Result<Value> {
    let paths: Vec<&Value> = match &a[1] {
        Value::Array(items) => items.iter().collect(),
        Value::Set(items) => items.iter().collect(),
        _ => return Ok(Value::Undefined),
    };
    let mut plain = Vec::new();
    for path in paths {
        let steps: Vec<Value> = match path {
            Value::String(path) => {
                let unescaped = |step: &str| Value::from(step.replace("~1", "/").replace("~0", "~"));
                path.trim_start_matches('/').split('/').map(unescaped).collect()
            }
            Value::Array(steps) => steps.to_vec(),
            _ => return Ok(Value::Undefined),
        };
        if steps.is_empty() || steps.iter().any(|step| text(step) == Some("")) {
            return doubt(name, "an empty path, or one with an empty step");
        }
        let mut place = Some(&a[0]);
        for step in &steps {
            place = match place {
                Some(Value::Object(fields)) => fields.get(step),
                Some(Value::Array(items)) => text(step).map_or_else(|| step.as_i64().ok(), |step| step.parse().ok()).and_then(|at| items.get(usize::try_from(at).ok()?)),
                Some(_) => return doubt(name, "a path into a value that has no fields"),
                None => break,
            };
        }
        plain.push(steps);
    }
    let is_within = |steps: &Vec<Value>| plain.iter().any(|other| steps.len() > other.len() && steps.starts_with(other));
    if name == "json.filter" && plain.iter().any(is_within) {
        return doubt(name, "a path within another");
    }
    let plain: Vec<Value> = plain.into_iter().map(Value::from).collect();
    own(name, &[a[0].clone(), Value::from(plain)])
}

fn cidr_contains(a: &[Value]) -> Result<Value> {
    if a.iter().filter_map(text).any(|held| held.contains(':') && held.contains('.')) || a.iter().filter_map(text).any(|held| held.to_ascii_lowercase().contains(":ffff:")) {
        return doubt("net.cidr_contains", "an address of IPv4 within IPv6");
    }
    own("net.cidr_contains", a)
}

/// All addresses of a network. Those of a large network do not fit into memory.
fn cidr_expand(a: &[Value]) -> Result<Value> {
    let Some(held) = text(&a[0]) else { return Ok(Value::Undefined) };
    let bits = if held.contains(':') { 128 } else { 32 };
    let length = held.split_once('/').and_then(|(_, length)| length.parse::<u32>().ok()).unwrap_or(bits);
    if bits.saturating_sub(length) > MAX_ENTRIES.trailing_zeros() {
        return refuse_entries("net.cidr_expand");
    }
    Ok(match own("net.cidr_expand", a)? {
        Value::Array(addresses) => Value::from(addresses.iter().cloned().collect::<BTreeSet<Value>>()),
        other => other,
    })
}

fn check_range(name: &str, a: &[Value]) -> Result<()> {
    let bound = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        _ => None,
    };
    if let (Some(first), Some(last)) = (bound(&a[0]), bound(&a[1])) {
        if (last - first).abs() > MAX_ENTRIES as f64 {
            return refuse_entries(name);
        }
    }
    Ok(())
}

fn range(a: &[Value]) -> Result<Value> {
    check_range("numbers.range", a)?;
    own("numbers.range", a)
}

fn range_step(a: &[Value]) -> Result<Value> {
    check_range("numbers.range_step", a)?;
    own("numbers.range_step", a)
}

/// Whether a time has a zone with a clock of its own.
fn is_zoned(time: &Value) -> bool {
    match time {
        Value::Array(parts) => !matches!(parts.get(1).and_then(text), None | Some("" | "UTC")),
        _ => false,
    }
}

fn time_diff(a: &[Value]) -> Result<Value> {
    if a.iter().any(is_zoned) {
        return doubt("time.diff", "a time zone");
    }
    own("time.diff", a)
}

fn time_format(a: &[Value]) -> Result<Value> {
    if let Value::Array(parts) = &a[0] {
        let layout = parts.get(2).and_then(text).unwrap_or_default();
        if parts.len() == 3 && text(&parts[2]) == Some("") {
            return own("time.format", &[Value::from(vec![parts[0].clone(), parts[1].clone()])]);
        }
        if layout.contains("MST") || matches!(layout, "RFC822" | "RFC850" | "RFC1123" | "UnixDate") {
            return doubt("time.format", "a layout with the name of a time zone");
        }
        let words = ["2006", "January", "Monday", "Jan", "Mon", "Z07:00", "-0700", "-07:00", "01", "02", "15", "04", "05", "PM", "T"];
        let rest = words.iter().fold(layout.to_owned(), |rest, word| rest.replace(word, ""));
        if !layout.starts_with(|letter: char| letter.is_ascii_uppercase()) && rest.contains(|letter: char| letter.is_ascii_alphanumeric()) {
            return doubt("time.format", "a layout with other words than those of full dates and times");
        }
    }
    let nanoseconds = match &a[0] {
        Value::Array(parts) => parts.first().cloned().unwrap_or(Value::Undefined),
        other => other.clone(),
    };
    // OPA writes no zeros at the end of a fraction of a second; the engine writes three, six or nine digits.
    if let Value::Number(number) = nanoseconds {
        let fraction = number.as_i64().map_or(1, |whole| whole.rem_euclid(1_000_000_000));
        let zeros = (0..9).find(|power| fraction % 10_i64.pow(power + 1) != 0).unwrap_or(0);
        if zeros % 3 != 0 {
            return doubt("time.format", "a fraction of a second that ends with zeros");
        }
    }
    own("time.format", a)
}

fn decode_object(a: &[Value]) -> Result<Value> {
    let Some(held) = text(&a[0]) else { return Ok(Value::Undefined) };
    let is_percent = |part: &str| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !held.is_ascii() || held.contains([';', '#']) || held.contains(|letter: char| letter.is_ascii_control()) || !held.split('%').skip(1).all(is_percent) {
        return doubt("urlquery.decode_object", "this text");
    }
    own("urlquery.decode_object", a)
}

fn whole(name: &str, value: Value) -> Result<Value> {
    match text(&value) {
        Some(text) if text.contains('\u{fffd}') => doubt(name, "the result is no UTF-8"),
        _ => Ok(value),
    }
}

fn urlquery_decode(a: &[Value]) -> Result<Value> {
    let Some(held) = text(&a[0]) else { return Ok(Value::Undefined) };
    let (mut out, mut bytes) = (Vec::new(), held.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else { return Ok(Value::Undefined) };
                out.push((high * 16 + low) as u8);
            }
            _ => out.push(byte),
        }
    }
    match String::from_utf8(out) {
        Ok(text) => Ok(Value::from(text)),
        Err(_) => doubt("urlquery.decode", "the result is no UTF-8"),
    }
}

fn urlquery_encode(name: &str, value: &Value) -> Result<Value> {
    let made = own(name, &[value.clone()])?;
    Ok(match text(&made) {
        Some(made) => Value::from(made.replace('*', "%2A").replace("%7E", "~")),
        None => made,
    })
}

fn small(name: &str, a: &[Value]) -> Result<Value> {
    let is_small = |value: &Value| match value {
        Value::Number(number) => !number.is_integer() || number.as_i64().is_some_and(|whole| whole.unsigned_abs() < 1 << 53),
        _ => true,
    };
    let made = own(name, a)?;
    if a.iter().chain([&made]).all(is_small) {
        return Ok(made);
    }
    doubt(name, "a number of more than 53 bits")
}

fn parse_rfc3339(a: &[Value]) -> Result<Value> {
    let Some(held) = text(&a[0]) else { return Ok(Value::Undefined) };
    if compiled("time.parse_rfc3339_ns", RFC3339_SHAPE, held)?.regex.is_match(held) {
        return own("time.parse_rfc3339_ns", a);
    }
    if held.bytes().any(|byte| byte.is_ascii_digit()) && held.len() >= 16 {
        return doubt("time.parse_rfc3339_ns", &format!("the text {held:?}"));
    }
    Ok(Value::Undefined)
}

fn parse_time(a: &[Value]) -> Result<Value> {
    let (Some(layout), Some(held)) = (text(&a[0]), text(&a[1])) else { return Ok(Value::Undefined) };
    let Some(shape) = time_shape(layout) else { return doubt("time.parse_ns", &format!("the layout {layout:?}")) };
    if !compiled("time.parse_ns", shape, held)?.regex.is_match(held) {
        return doubt("time.parse_ns", &format!("the text {held:?}"));
    }
    match own("time.parse_ns", a)? {
        Value::Undefined => doubt("time.parse_ns", "a text that the engine cannot read"),
        value => Ok(value),
    }
}

/// The pattern of the texts that a layout matches; None for a layout that the engine may read differently.
fn time_shape(layout: &str) -> Option<&'static str> {
    match layout {
        "RFC3339" | "2006-01-02T15:04:05Z07:00" => Some(RFC3339_SHAPE),
        "2006-01-02" => Some(r"^\d{4}-\d\d-\d\d$"),
        "2006-01-02T15:04:05Z" => Some(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\dZ$"),
        "2006-01-02 15:04:05" => Some(r"^\d{4}-\d\d-\d\d \d\d:\d\d:[0-5]\d$"),
        _ => None,
    }
}

/// Why OPA may read a constant pattern or layout of a policy differently; None if both agree.
#[pyfunction]
pub fn check_constant(builtin: &str, constant: &str) -> Option<String> {
    let reason = match builtin {
        "glob.match" => globs::matches(constant, &['/'], "").err(),
        "time.parse_ns" if time_shape(constant).is_none() => Some("is a layout that the engine may read differently".to_owned()),
        "time.parse_ns" => None,
        _ => regex_go::compile(constant).err(),
    };
    reason.map(|reason| format!("{constant:?} {reason}"))
}

fn add_date(a: &[Value]) -> Result<Value> {
    if is_zoned(&a[0]) {
        return doubt("time.add_date", "a time zone");
    }
    let date = own("time.date", &a[..1])?;
    let day = match &date {
        Value::Array(parts) => parts.get(2).and_then(|day| day.as_i64().ok()),
        _ => None,
    };
    let moves = |value: &Value| *value != Value::from(0i64);
    if day.is_some_and(|day| day > 28) && (moves(&a[1]) || moves(&a[2])) {
        return doubt("time.add_date", "a day after the 28th of a month");
    }
    own("time.add_date", a)
}
