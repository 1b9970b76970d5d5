//! Figures that are not rows of a load: times and sizes.

use serde::{Deserialize, Serialize};

use crate::spread::Spread;

/// A figure with its goal, if any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) spread: Spread,
    pub(crate) goal: Option<Goal>,
}

/// The bound that the median has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Figure {
    /// A figure from all its measurements; none without measurements.
    pub(crate) fn of(name: &str, unit: &str, values: impl IntoIterator<Item = f64>) -> Option<Self> {
        Some(Self { name: name.to_owned(), unit: unit.to_owned(), spread: Spread::of(values)?, goal: None })
    }

    pub(crate) fn at_least(mut self, value: f64) -> Self {
        self.goal = Some(Goal::AtLeast(value));
        self
    }

    pub(crate) fn at_most(mut self, value: f64) -> Self {
        self.goal = Some(Goal::AtMost(value));
        self
    }
}

impl Goal {
    pub(crate) fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtLeast(goal) => value >= goal,
            Self::AtMost(goal) => value <= goal,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(goal) => write!(f, "≥ {goal}"),
            Self::AtMost(goal) => write!(f, "≤ {goal}"),
        }
    }
}
