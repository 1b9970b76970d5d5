//! A queue in which functions take turns: one with many calls in it does not hold up one with few.

use std::collections::VecDeque;

/// Values by the function that they belong to; each function's come in their order.
#[derive(Debug)]
pub(super) struct Turns<T> {
    /// Those that wait, by whose turn it is. They are few: looking through them costs less than a hash.
    functions: VecDeque<(usize, VecDeque<T>)>,
    /// What the last function left, so that the next one need not allocate.
    spare: VecDeque<T>,
    len: usize,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { functions: VecDeque::new(), spare: VecDeque::new(), len: 0 }
    }
}

impl<T> Turns<T> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a value of the function with this number, behind its others.
    pub(super) fn push(&mut self, function: usize, value: T) {
        self.len += 1;
        if let Some((_, values)) = self.functions.iter_mut().find(|(known, _)| *known == function) {
            values.push_back(value);
            return;
        }
        let mut values = std::mem::take(&mut self.spare);
        values.push_back(value);
        self.functions.push_back((function, values));
    }

    /// The next value of the function whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (function, mut values) = self.functions.pop_front()?;
        let value = values.pop_front();
        if values.is_empty() {
            self.spare = values;
        } else {
            self.functions.push_back((function, values));
        }
        self.len -= 1;
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_take_turns_and_keep_their_own_order() {
        let mut turns = Turns::default();
        for (function, value) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1"), (2, "b2")] {
            turns.push(function, value);
        }
        assert_eq!(turns.len(), 6);
        let order: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert!(turns.is_empty());
        turns.push(1, "a4");
        assert_eq!((turns.pop(), turns.pop()), (Some("a4"), None));
    }
}
