//! Arithmetic as OPA has it: whole numbers exactly, others as Go's `big.Float` with 64 bits of mantissa.
//!
//! Sources: OPA `v1/topdown/arithmetic.go`, `v1/topdown/builtins/builtins.go` (NumberToFloat, FloatToNumber).

use anyhow::{bail, Result};
use num_bigint::{BigInt, BigUint, Sign};
use regorus::Value;

const REFUSAL: &str = "the embedded engine differs from OPA: it cannot hold the result of this arithmetic as OPA does; set `engine: opa`";
const MANTISSA: u64 = 64;

/// A number with at most 64 bits: mantissa * 2^exponent.
#[derive(Clone, PartialEq)]
struct Float {
    mantissa: BigInt,
    exponent: i64,
}

/// Numerator / denominator * 2^exponent, rounded half to even.
fn rounded(numerator: BigInt, denominator: &BigUint, exponent: i64) -> Float {
    rounded_to(MANTISSA, numerator, denominator, exponent)
}

fn rounded_to(bits: u64, numerator: BigInt, denominator: &BigUint, exponent: i64) -> Float {
    let (sign, size) = numerator.into_parts();
    if sign == Sign::NoSign {
        return Float { mantissa: BigInt::default(), exponent: 0 };
    }
    let shift = MANTISSA as i64 + 2 + denominator.bits() as i64 - size.bits() as i64;
    let shift = shift.max(0) as u64;
    let shifted = size << shift;
    let mut quotient = &shifted / denominator;
    let has_rest = &quotient * denominator != shifted;
    let mut exponent = exponent - shift as i64;
    let excess = quotient.bits().saturating_sub(bits);
    if excess > 0 {
        let half = BigUint::from(1u8) << (excess - 1);
        let cut = &quotient & ((BigUint::from(1u8) << excess) - 1u8);
        quotient >>= excess;
        if cut > half || (cut == half && (has_rest || quotient.bit(0))) {
            quotient += 1u8;
        }
        exponent += excess as i64;
    }
    let zeros = quotient.trailing_zeros().unwrap_or(0);
    Float { mantissa: BigInt::from_biguint(sign, quotient >> zeros), exponent: exponent + zeros as i64 }
}

/// Reads a decimal number without an exponent.
fn parsed(text: &str) -> Option<Float> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let numerator: BigInt = format!("{whole}{part}").parse().ok()?;
    Some(rounded(numerator, &BigUint::from(10u8).pow(part.len() as u32), 0))
}

fn text_of(value: &Value) -> Option<String> {
    let Value::Number(number) = value else { return None };
    if number.is_integer() {
        return number.as_i64().map(|whole| whole.to_string());
    }
    let float = number.as_f64()?;
    (float.abs() < 1e18 && float.abs() > 1e-18).then(|| format!("{float}"))
}

fn scaled(float: &Float, exponent: i64) -> BigInt {
    &float.mantissa << (float.exponent - exponent) as u64
}

/// A sum or product that is not rounded.
fn exact(operation: char, left: &Float, right: &Float) -> Float {
    if operation == '*' {
        return Float { mantissa: &left.mantissa * &right.mantissa, exponent: left.exponent + right.exponent };
    }
    let exponent = left.exponent.min(right.exponent);
    Float { mantissa: scaled(left, exponent) + scaled(right, exponent), exponent }
}

fn operate(operation: char, left: &Float, right: &Float) -> Float {
    let one = BigUint::from(1u8);
    let exponent = left.exponent.min(right.exponent);
    match operation {
        '+' => rounded(scaled(left, exponent) + scaled(right, exponent), &one, exponent),
        '-' => rounded(scaled(left, exponent) - scaled(right, exponent), &one, exponent),
        '*' => rounded(&left.mantissa * &right.mantissa, &one, left.exponent + right.exponent),
        _ => {
            let numerator = if right.mantissa.sign() == Sign::Minus { -&left.mantissa } else { left.mantissa.clone() };
            rounded(numerator, right.mantissa.magnitude(), left.exponent - right.exponent)
        }
    }
}

/// The value, where the engine holds the same number as OPA.
fn held(float: &Float) -> Option<Value> {
    if float.exponent >= 0 {
        return i64::try_from(&float.mantissa << float.exponent as u64).ok().map(Value::from);
    }
    let mantissa = i128::try_from(&float.mantissa).ok()? as f64;
    let near = mantissa * 2f64.powi(i32::try_from(float.exponent).ok()?);
    let found = Value::from(near);
    (text_of(&found).as_deref().and_then(parsed).as_ref() == Some(float)).then_some(found)
}

/// One operation of Rego (`+`, `-`, `*`, `/`, `%`) on two values.
pub fn arithmetic(operation: char, left: &Value, right: &Value) -> Result<Value> {
    if let (Value::Set(left), Value::Set(right), '-') = (left, right, operation) {
        return Ok(Value::from(left.iter().filter(|item| !right.contains(item)).cloned().collect::<std::collections::BTreeSet<_>>()));
    }
    let (Value::Number(first), Value::Number(second)) = (left, right) else {
        return Ok(Value::Undefined);
    };
    if let (true, true, Some(first), Some(second)) = (first.is_integer(), second.is_integer(), first.as_i64(), second.as_i64()) {
        let whole = match operation {
            '+' => first.checked_add(second),
            '-' => first.checked_sub(second),
            '*' => first.checked_mul(second),
            '/' | '%' if second == 0 => return Ok(Value::Undefined),
            '%' => first.checked_rem(second),
            _ => first.checked_rem(second).filter(|rest| *rest == 0).and_then(|_| first.checked_div(second)),
        };
        if let Some(whole) = whole {
            return Ok(Value::from(whole));
        }
        if operation != '/' {
            bail!(REFUSAL);
        }
    }
    if operation == '%' {
        return if first.is_integer() && second.is_integer() { bail!(REFUSAL) } else { Ok(Value::Undefined) };
    }
    let (Some(left), Some(right)) = (text_of(left).as_deref().and_then(parsed), text_of(right).as_deref().and_then(parsed)) else {
        bail!(REFUSAL);
    };
    if operation == '/' && right.mantissa.sign() == Sign::NoSign {
        return Ok(Value::Undefined);
    }
    match held(&operate(operation, &left, &right)) {
        Some(value) => Ok(value),
        None => bail!(REFUSAL),
    }
}

/// Sum or product of an array or set, in OPA's order.
pub fn fold(operation: char, start: i64, values: &Value) -> Result<Value> {
    let items: Vec<&Value> = match values {
        Value::Array(items) => items.iter().collect(),
        Value::Set(items) => items.iter().collect(),
        _ => return Ok(Value::Undefined),
    };
    let is_whole = |item: &&Value| matches!(item, Value::Number(number) if number.is_integer());
    if items.iter().all(is_whole) {
        return items.into_iter().try_fold(Value::from(start), |result, item| arithmetic(operation, &result, item));
    }
    // In OPA a product begins as a number of 53 bits and stays one; a sum has 64 bits.
    let bits = if operation == '*' { 53 } else { MANTISSA };
    let is_large = |float: &Float| float.exponent + float.mantissa.bits() as i64 > 53;
    let mut result = Float { mantissa: BigInt::from(start), exponent: 0 };
    for item in items {
        if !matches!(item, Value::Number(_)) {
            return Ok(Value::Undefined);
        }
        let Some(next) = text_of(item).as_deref().and_then(parsed) else { bail!(REFUSAL) };
        result = exact(operation, &result, &next);
        if is_large(&next) || is_large(&result) {
            bail!(REFUSAL);
        }
        result = rounded_to(bits, result.mantissa, &BigUint::from(1u8), result.exponent);
    }
    if result.exponent < 0 && bits == 53 {
        let mantissa = i64::try_from(&result.mantissa)? as f64;
        return Ok(Value::from(mantissa * 2f64.powi(i32::try_from(result.exponent)?)));
    }
    held(&result).ok_or_else(|| anyhow::anyhow!(REFUSAL))
}

/// The text with each arithmetic operation as a call, so that the engine's own binary arithmetic is not used.
/// Every line keeps its place. None if the text has no arithmetic, or is not Rego of this version.
pub fn rewritten(path: &str, text: &str, v0: bool) -> Option<String> {
    if !has_operator(text) {
        return None;
    }
    let mut engine = regorus::Engine::new();
    engine.set_rego_v0(v0);
    engine.add_policy(path.to_owned(), text.to_owned()).ok()?;
    let tree: serde_json::Value = serde_json::from_str(&engine.get_ast_as_json().ok()?).ok()?;
    let mut found: Vec<Operation> = Vec::new();
    collect(&tree, &mut found);
    found.sort_unstable();
    found.dedup();
    if found.is_empty() {
        return None;
    }
    let mut starts: Vec<usize> = vec![0];
    starts.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
    let mut edits: Vec<(usize, i64, usize, String)> = Vec::new();
    for (name, line, column, start, end) in found {
        let begin = *starts.get(line.checked_sub(1)?)?;
        let operator = begin + text[begin..].char_indices().nth(column.checked_sub(1)?)?.0;
        if !text.is_char_boundary(start) || !text.is_char_boundary(end) || !b"+-*/%".contains(text.as_bytes().get(operator)?) {
            return None;
        }
        edits.push((start, -(end as i64), 0, format!("gatekeeper_{name}(")));
        edits.push((operator, 0, 1, ",".into()));
        edits.push((end, i64::MIN, 0, ")".into()));
    }
    edits.sort();
    let (mut out, mut at) = (String::new(), 0);
    for (place, _, length, new) in edits {
        out.push_str(text.get(at..place)?);
        out.push_str(&new);
        at = place + length;
    }
    out.push_str(text.get(at..)?);
    Some(out)
}

/// Whether an arithmetic operator stands outside of strings and comments.
fn has_operator(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' | b'-' | b'*' | b'/' | b'%' => return true,
            b'#' => {
                bytes.find(|byte| *byte == b'\n');
            }
            b'`' => {
                bytes.find(|byte| *byte == b'`');
            }
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'\\' => {
                            bytes.next();
                        }
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    false
}

type Operation = (&'static str, usize, usize, usize, usize);

fn collect(tree: &serde_json::Value, found: &mut Vec<Operation>) {
    match tree {
        serde_json::Value::Object(fields) => {
            if let Some(expression) = fields.get("ArithExpr") {
                let span = &expression["span"];
                let number = |name: &str| span[name].as_u64().unwrap_or(0) as usize;
                let name = match expression["op"].as_str() {
                    Some("Add") => "add",
                    Some("Sub") => "subtract",
                    Some("Mul") => "multiply",
                    Some("Div") => "divide",
                    _ => "remainder",
                };
                found.push((name, number("line"), number("col"), number("start"), number("end")));
            }
            fields.values().for_each(|value| collect(value, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}
