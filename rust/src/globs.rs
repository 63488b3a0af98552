//! Glob patterns as OPA matches them (github.com/gobwas/glob): the same answer, or a refusal.

use crate::regex_go;

/// Whether the pattern matches; the error is the reason why OPA may decide differently.
pub fn matches(pattern: &str, separators: &[char], text: &str) -> Result<bool, String> {
    let other: String = if separators.is_empty() {
        "(?s:.)".into()
    } else {
        format!("[^{}]", separators.iter().map(|letter| format!("\\x{{{:x}}}", u32::from(*letter))).collect::<String>())
    };
    let (mut out, mut letters) = (String::from(r"\A"), pattern.chars().peekable());
    let (mut ends, mut has_wildcard, mut in_braces) = ((String::new(), String::new()), false, false);
    while let Some(letter) = letters.next() {
        let mut wildcard = |out: &mut String, text: &str| {
            out.push_str(text);
            has_wildcard = true;
            ends.1.clear();
        };
        match letter {
            '*' if letters.next_if_eq(&'*').is_some() => {
                if letters.peek() == Some(&'*') {
                    return Err("has more than two `*`".into());
                }
                wildcard(&mut out, "(?s:.)*");
            }
            '*' => wildcard(&mut out, &format!("{other}*")),
            '?' => wildcard(&mut out, &other),
            '[' => {
                let held: String = letters.clone().take_while(|part| *part != ']').collect();
                for _ in 0..=held.chars().count() {
                    letters.next();
                }
                let (not, body) = held.strip_prefix('!').map_or(("", held.as_str()), |body| ("^", body));
                let parts: Vec<char> = body.chars().collect();
                let is_range = parts.len() == 3 && parts[1] == '-' && parts[0] <= parts[2];
                let is_plain = |part: &char| part.is_ascii_alphanumeric();
                if !(is_range && is_plain(&parts[0]) && is_plain(&parts[2]) || !parts.is_empty() && parts.iter().all(is_plain)) || in_braces {
                    return Err("has an unusual class".into());
                }
                wildcard(&mut out, &format!("[{not}{body}]"));
            }
            '{' if !in_braces => {
                in_braces = true;
                wildcard(&mut out, "(?:");
            }
            ',' if in_braces => {
                out.push('|');
                wildcard(&mut out, "");
            }
            '}' if in_braces => {
                in_braces = false;
                wildcard(&mut out, ")");
            }
            '{' | '}' | ']' => return Err("has unusual braces".into()),
            '\\' | '!' if letter == '\\' => {
                let next = letters.next().ok_or("ends with a backslash")?;
                push(&mut out, next, has_wildcard, &mut ends);
            }
            _ => push(&mut out, letter, has_wildcard, &mut ends),
        }
    }
    if in_braces || out.contains("(?:|") || out.contains("||") || out.contains("|)") {
        return Err("has empty or open alternatives".into());
    }
    if out.contains("(?:") && (pattern.contains('*') || pattern.contains('?')) && pattern.find('{') < pattern.rfind(['*', '?']) {
        let inner = &pattern[pattern.find('{').unwrap_or(0)..=pattern.rfind('}').unwrap_or(0)];
        if inner.contains(['*', '?']) {
            return Err("has wildcards within alternatives".into());
        }
    }
    out.push_str(r"\z");
    let found = regex_go::compile(&out)?.regex.is_match(text);
    // OPA's library lets the beginning and the end overlap in some patterns.
    let (begin, end) = ends;
    if !found && has_wildcard && text.len() < begin.len() + end.len() && text.starts_with(&begin) && text.ends_with(&end) {
        return Err("begins and ends with the same text".into());
    }
    Ok(found)
}

fn push(out: &mut String, letter: char, has_wildcard: bool, ends: &mut (String, String)) {
    out.push_str(&format!("\\x{{{:x}}}", u32::from(letter)));
    if !has_wildcard {
        ends.0.push(letter);
    }
    ends.1.push(letter);
}
