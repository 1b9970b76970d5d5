//! JSON in and out: an order of 2 KiB is parsed, validated, priced, and answered with 2 KiB.

use serde::{Deserialize, Serialize};

/// The request.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    customer: String,
    currency: String,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    sku: String,
    name: String,
    quantity: u32,
    cents: u64,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Priced<'o> {
    customer: &'o str,
    currency: &'o str,
    lines: Vec<PricedLine<'o>>,
    total: u64,
}

#[derive(Debug, Serialize)]
struct PricedLine<'o> {
    sku: &'o str,
    name: &'o str,
    quantity: u32,
    sum: u64,
}

/// Why an order is refused.
#[derive(Debug)]
pub enum OrderError {
    /// It is not JSON, or has another form.
    Json(serde_json::Error),
    /// It has the form, but not valid values.
    Invalid(&'static str),
}

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(error) => write!(f, "the order cannot be read: {error}"),
            Self::Invalid(what) => write!(f, "the order is refused: {what}"),
        }
    }
}

impl std::error::Error for OrderError {}

/// Answers an order with its prices.
///
/// # Errors
/// If it cannot be parsed, or is not valid.
pub fn price(body: &[u8]) -> Result<Vec<u8>, OrderError> {
    let order: Order = serde_json::from_slice(body).map_err(OrderError::Json)?;
    validate(&order).map_err(OrderError::Invalid)?;
    let lines: Vec<_> = order.lines.iter().map(priced).collect();
    let total = lines.iter().map(|line| line.sum).sum();
    let priced = Priced { customer: &order.customer, currency: &order.currency, lines, total };
    serde_json::to_vec(&priced).map_err(OrderError::Json)
}

fn validate(order: &Order) -> Result<(), &'static str> {
    if order.customer.is_empty() || order.currency.len() != 3 {
        return Err("it needs a customer, and a currency of three letters");
    }
    if order.lines.is_empty() {
        return Err("it has no lines");
    }
    let is_valid = |line: &Line| line.sku.len() == 8 && (1..=1000).contains(&line.quantity);
    if order.lines.iter().all(is_valid) { Ok(()) } else { Err("a line has no sku, or no quantity") }
}

fn priced(line: &Line) -> PricedLine<'_> {
    let sum = line.cents * u64::from(line.quantity);
    PricedLine { sku: &line.sku, name: &line.name, quantity: line.quantity, sum }
}

/// The benchmark's order, of 2 KiB.
///
/// # Errors
/// None: serialisation of plain data does not fail.
pub fn sample() -> Result<Vec<u8>, OrderError> {
    let line = |number: u32| Line {
        sku: format!("SKU-{number:04}"),
        name: format!("A thing of kind {number}, boxed"),
        quantity: number % 9 + 1,
        cents: u64::from(number) * 137 + 99,
    };
    let lines = (0..25).map(line).collect();
    let order = Order { customer: "Ada Lovelace".to_owned(), currency: "EUR".to_owned(), lines };
    serde_json::to_vec(&order).map_err(OrderError::Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_about_2_kib_both_ways() {
        let order = sample().expect("the sample");
        let answer = price(&order).expect("the answer");
        for length in [order.len(), answer.len()] {
            assert!((1900..2300).contains(&length), "{length}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let text = String::from_utf8(sample().expect("the sample")).expect("UTF-8");
        for (from, to) in
            [("\"EUR\"", "\"EURO\""), ("SKU-0001", "SKU"), ("\"quantity\":1,", "\"quantity\":0,")]
        {
            assert!(
                matches!(price(text.replace(from, to).as_bytes()), Err(OrderError::Invalid(_))),
                "{from}"
            );
        }
        assert!(matches!(price(b"{}"), Err(OrderError::Json(_))));
    }
}
