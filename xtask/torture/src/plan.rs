//! How much a campaign does, and what it counted.

use std::fmt;
use std::path::PathBuf;

/// What a campaign is told.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Where its random numbers begin.
    pub(crate) seed: u64,
    /// How much it does, in its own unit.
    pub(crate) iterations: u64,
    /// Where it makes databases that are to be on a real device.
    pub(crate) directory: PathBuf,
    /// The rule that is broken in this process, which processes that it starts break as well.
    pub(crate) sabotage: Option<String>,
    /// Whether the index tells few keys apart in this process, and in those.
    pub(crate) collisions: bool,
}

impl Plan {
    /// The sabotage and the collisions as one word, for a process that is started.
    pub(crate) fn word(&self) -> String {
        format!(
            "{}{}",
            self.sabotage.as_deref().unwrap_or("-"),
            if self.collisions { "+collisions" } else { "" }
        )
    }
}

/// Breaks a rule in this process, if one is named, and has keys collide in it, if they are to.
pub(crate) fn take(sabotage: Option<&str>, collisions: bool) -> anyhow::Result<()> {
    if collisions {
        opendb::simulation::have_keys_collide();
    }
    sabotage.map_or(Ok(()), crate::planted::plant)
}

/// [`take`] of what the word of a plan says.
pub(crate) fn take_word(word: &str) -> anyhow::Result<()> {
    let (sabotage, collisions) = word.split_once('+').map_or((word, false), |(sabotage, _)| (sabotage, true));
    take(Some(sabotage).filter(|sabotage| *sabotage != "-"), collisions)
}

/// What was done so far, counted under names.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: Vec<(&'static str, u64)>,
}

impl Tally {
    /// Counts something `times` more. The order of the first counts is that of the summary.
    pub(crate) fn add(&mut self, name: &'static str, times: u64) {
        match self.counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += times,
            None => self.counts.push((name, times)),
        }
    }

    /// How much of it was counted.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.counts.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> = self.counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
        f.write_str(if counts.is_empty() { "nothing done" } else { "" })?;
        f.write_str(&counts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told_in_the_order_of_the_first_counts() {
        let mut tally = Tally::default();
        assert_eq!(tally.to_string(), "nothing done");
        tally.add("kills", 1);
        tally.add("openings", 2);
        tally.add("kills", 3);
        assert_eq!((tally.to_string().as_str(), tally.count("kills")), ("4 kills, 2 openings", 4));
    }
}
