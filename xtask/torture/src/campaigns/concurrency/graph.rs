//! Which of several transactions has to come before which, and whether that can be.
//!
//! A history is serializable in an order that time does not contradict if and only if the graph of these edges has no cycle (A. Adya,
//! *Weak Consistency*, 1999, with the edges of time of C. H. Papadimitriou, *The Serializability of Concurrent Database Updates*, 1979):
//! - who wrote a version comes before who read it;
//! - who wrote a version comes before who wrote the next one;
//! - who read a version comes before who wrote the next one;
//! - who had returned comes before who had not yet been called.

/// A transaction, a batch or a read that was made, from its call to its return in nanoseconds.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) what: String,
    pub(super) called: u64,
    pub(super) returned: u64,
    /// Objects that it read, each with the number of versions that had been written by then.
    pub(super) reads: Vec<(usize, usize)>,
}

/// Everything that was done.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    /// By object: who wrote its versions, in their order.
    pub(super) orders: Vec<Vec<usize>>,
}

/// Why one comes before another: by time, or by what was done to an object.
#[derive(Debug, Clone, Copy)]
enum Why {
    Returned,
    WroteForReader(usize),
    WroteBefore(usize),
    ReadBefore(usize),
}

impl Why {
    fn told(self, one: &str, other: &str) -> String {
        match self {
            Why::Returned => format!("{one} had returned before the call of {other}"),
            Why::WroteForReader(object) => {
                format!("{one} wrote the version of {object} that was read by {other}")
            }
            Why::WroteBefore(object) => format!("{one} wrote the version of {object} before that of {other}"),
            Why::ReadBefore(object) => format!("{one} read the version of {object} before that of {other}"),
        }
    }
}

/// Where an edge leads, and why it is there.
type Edge = (usize, Why);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    NotYet,
    OnTheWay,
    Done,
}

impl Graph {
    /// A cycle in words, if there is one.
    pub(super) fn cycle(&self) -> Option<String> {
        let edges = self.edges();
        let mut visits = vec![Visit::NotYet; self.nodes.len()];
        for start in 0..self.nodes.len() {
            if let Some(path) = find_cycle(&edges, &mut visits, start) {
                let what = |node: usize| self.nodes.get(node).map_or("", |node| &node.what);
                let pairs = path.windows(2);
                let lines =
                    pairs.map(|pair| format!("  {}", pair[1].1.told(what(pair[0].0), what(pair[1].0))));
                return Some(lines.collect::<Vec<_>>().join("\n"));
            }
        }
        None
    }

    fn edges(&self) -> Vec<Vec<Edge>> {
        let mut edges: Vec<Vec<Edge>> = vec![Vec::new(); self.nodes.len()];
        let mut add = |from: usize, to: usize, why: Why| {
            if from != to
                && let Some(edges) = edges.get_mut(from)
            {
                edges.push((to, why));
            }
        };
        for (object, order) in self.orders.iter().enumerate() {
            for pair in order.windows(2) {
                add(pair[0], pair[1], Why::WroteBefore(object));
            }
        }
        for (at, node) in self.nodes.iter().enumerate() {
            for (object, versions) in &node.reads {
                let order = self.orders.get(*object).map(Vec::as_slice).unwrap_or_default();
                if let Some(writer) = versions.checked_sub(1).and_then(|last| order.get(last)) {
                    add(*writer, at, Why::WroteForReader(*object));
                }
                if let Some(next) = order.get(*versions) {
                    add(at, *next, Why::ReadBefore(*object));
                }
            }
            for (later, other) in self.nodes.iter().enumerate() {
                if node.returned < other.called {
                    add(at, later, Why::Returned);
                }
            }
        }
        edges
    }
}

/// Goes down from a node; a cycle is given from its first node on, each with why it comes after the one before, which the first one
/// says nothing of.
fn find_cycle(edges: &[Vec<Edge>], visits: &mut [Visit], start: usize) -> Option<Vec<Edge>> {
    if visits.get(start) != Some(&Visit::NotYet) {
        return None;
    }
    let mut way: Vec<(Edge, usize)> = vec![((start, Why::Returned), 0)];
    if let Some(visit) = visits.get_mut(start) {
        *visit = Visit::OnTheWay;
    }
    while let Some(((node, _), next)) = way.last_mut() {
        let Some((to, why)) = edges.get(*node).and_then(|edges| edges.get(*next)) else {
            if let Some(visit) = visits.get_mut(*node) {
                *visit = Visit::Done;
            }
            way.pop();
            continue;
        };
        *next += 1;
        let Some(visit) = visits.get_mut(*to) else { continue };
        match *visit {
            Visit::OnTheWay => {
                let mut path: Vec<Edge> = way.iter().map(|(edge, _)| *edge).collect();
                let begin = path.iter().position(|edge| edge.0 == *to).unwrap_or(0);
                path.push((*to, *why));
                return Some(path.split_off(begin));
            }
            Visit::NotYet => {
                *visit = Visit::OnTheWay;
                way.push(((*to, *why), 0));
            }
            Visit::Done => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(called: u64, returned: u64, reads: &[(usize, usize)]) -> Node {
        Node { what: String::new(), called, returned, reads: reads.to_vec() }
    }

    #[test]
    fn one_after_the_other_is_right() {
        let nodes = vec![node(0, 1, &[(0, 0)]), node(2, 3, &[(0, 1)]), node(4, 5, &[(0, 2)])];
        assert_eq!(Graph { nodes, orders: vec![vec![0, 1]] }.cycle(), None);
    }

    #[test]
    fn a_lost_update_and_write_skew_are_cycles() {
        let both = |reads: &[(usize, usize)]| vec![node(0, 9, reads), node(0, 9, reads)];
        assert!(Graph { nodes: both(&[(0, 0)]), orders: vec![vec![0, 1]] }.cycle().is_some());
        let skew = Graph { nodes: both(&[(0, 0), (1, 0)]), orders: vec![vec![0], vec![1]] };
        let told = skew.cycle().unwrap_or_default();
        assert!(told.contains("read the version of 1 before that of"), "{told}");
    }

    #[test]
    fn a_read_that_comes_too_late_or_sees_half_is_a_cycle() {
        let stale = vec![node(0, 1, &[]), node(2, 3, &[(0, 0)])];
        assert!(Graph { nodes: stale, orders: vec![vec![0]] }.cycle().is_some());
        // Two objects that are always written together, of which one is seen new and the other one old.
        let half = vec![node(0, 9, &[]), node(0, 9, &[(0, 1), (1, 0)])];
        assert!(Graph { nodes: half, orders: vec![vec![0], vec![0]] }.cycle().is_some());
        let overlapping = vec![node(0, 9, &[]), node(2, 3, &[(0, 0)])];
        assert_eq!(Graph { nodes: overlapping, orders: vec![vec![0]] }.cycle(), None);
    }
}
