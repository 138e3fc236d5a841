//! Who is linked with whom, before anything befalls the links.

use rand::{Rng, RngExt};

use crate::geography::outbound_links;

/// The shape of the network.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// A ring, and chords at random until nodes have about `degree` neighbours: always connected.
    Random {
        /// Neighbours of a node, on average.
        degree: usize,
    },
    /// A ring, and as many links opened by each node as Bitcoin's nodes of 2015 did (mean 9; each has as many opened to
    /// it, on average).
    Bitcoin2015,
    /// Each with the next.
    Line,
    /// A line whose ends meet.
    Ring,
    /// Each with all others.
    Clique,
    /// All with node 0, and with nobody else.
    Star,
    /// Groups of equal size, each a clique of at most `inner` neighbours for a node, and `bridges` links from each group
    /// to the next.
    Regions {
        /// How many groups.
        groups: usize,
        /// Neighbours within the group, on average.
        inner: usize,
        /// Links from each group to the next.
        bridges: usize,
    },
    /// These, and no others.
    Links(Vec<(usize, usize)>),
}

/// Why there is no such network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// A link names a node that is not there.
    #[error("a link names node {node}, but nodes are numbered 0 to {last}")]
    NoSuchNode {
        /// The number.
        node: usize,
        /// The highest there is.
        last: usize,
    },
    /// A link leads back to where it starts.
    #[error("a link leads from node {node} to itself")]
    Loop {
        /// The node.
        node: usize,
    },
    /// There are more groups than nodes, or none.
    #[error("{groups} groups of {nodes} nodes: there must be 1 to {nodes}")]
    Groups {
        /// Groups asked for.
        groups: usize,
        /// Nodes there are.
        nodes: usize,
    },
    /// A line of a file is not two numbers.
    #[error("line {line}: `{text}` is not two numbers of nodes")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What it says.
        text: String,
    },
}

/// Reads links from text: two numbers of nodes on each line; `#` begins a comment.
///
/// # Errors
/// [`TopologyError::Line`] for a line that says something else.
pub fn parse_links(text: &str) -> Result<Vec<(usize, usize)>, TopologyError> {
    let mut links = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let content = line.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        let numbers: Result<Vec<usize>, _> = content.split_whitespace().map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[a, b]) => links.push((a, b)),
            Ok(_) | Err(_) => {
                return Err(TopologyError::Line { line: number, text: content.to_owned() });
            }
        }
    }
    Ok(links)
}

impl Topology {
    /// The pairs of nodes that are linked, each once, the lower number first, in order.
    ///
    /// # Errors
    /// When the shape does not fit `nodes`.
    pub fn links(&self, nodes: usize, rng: &mut impl Rng) -> Result<Vec<(usize, usize)>, TopologyError> {
        let line = || (1..nodes).map(|node| (node - 1, node));
        let closing = (nodes > 2).then(|| (0, nodes - 1));
        let mut links: Vec<(usize, usize)> = match self {
            Self::Line => line().collect(),
            Self::Ring => line().chain(closing).collect(),
            Self::Star => (1..nodes).map(|node| (0, node)).collect(),
            Self::Clique => clique(0, nodes),
            Self::Random { degree } => {
                let chords = nodes * degree.saturating_sub(2) / 2;
                let mut links: Vec<_> = line().chain(closing).collect();
                links.extend((0..chords).map(|_| (rng.random_range(0..nodes), rng.random_range(0..nodes))));
                links.retain(|(a, b)| a != b);
                links
            }
            Self::Bitcoin2015 => {
                let mut links: Vec<_> = line().chain(closing).collect();
                let cumulative = outbound_links();
                for node in 0..nodes {
                    let level: f64 = rng.random();
                    let count = 1 + cumulative.iter().take_while(|share| **share <= level).count();
                    links.extend((0..count).map(|_| (node, rng.random_range(0..nodes))));
                }
                links.retain(|(a, b)| a != b);
                links
            }
            Self::Regions { groups, inner, bridges } => regions(nodes, *groups, *inner, *bridges, rng)?,
            Self::Links(links) => checked(nodes, links)?,
        };
        for (a, b) in &mut links {
            (*a, *b) = (*a.min(b), *a.max(b));
        }
        links.sort_unstable();
        links.dedup();
        Ok(links)
    }
}

fn clique(first: usize, end: usize) -> Vec<(usize, usize)> {
    (first..end).flat_map(|a| (a + 1..end).map(move |b| (a, b))).collect()
}

fn regions(
    nodes: usize,
    groups: usize,
    inner: usize,
    bridges: usize,
    rng: &mut impl Rng,
) -> Result<Vec<(usize, usize)>, TopologyError> {
    if !(1..=nodes).contains(&groups) {
        return Err(TopologyError::Groups { groups, nodes });
    }
    let bounds: Vec<_> = (0..=groups).map(|group| group * nodes / groups).collect();
    let mut links = Vec::new();
    for (group, range) in bounds.windows(2).enumerate() {
        let (first, end) = (range[0], range[1]);
        if end - first <= inner + 1 {
            links.extend(clique(first, end));
        } else {
            let within = Topology::Random { degree: inner }.links(end - first, rng)?;
            links.extend(within.into_iter().map(|(a, b)| (a + first, b + first)));
        }
        let next = (group + 1) % groups;
        if next != group {
            let (low, high) = (bounds[next], bounds[next + 1]);
            links.extend((0..bridges).map(|_| (rng.random_range(first..end), rng.random_range(low..high))));
        }
    }
    Ok(links)
}

fn checked(nodes: usize, links: &[(usize, usize)]) -> Result<Vec<(usize, usize)>, TopologyError> {
    for &(a, b) in links {
        if let Some(node) = [a, b].into_iter().find(|node| *node >= nodes) {
            return Err(TopologyError::NoSuchNode { node, last: nodes.saturating_sub(1) });
        }
        if a == b {
            return Err(TopologyError::Loop { node: a });
        }
    }
    Ok(links.to_vec())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn links(topology: &Topology, nodes: usize) -> Vec<(usize, usize)> {
        topology.links(nodes, &mut ChaCha8Rng::seed_from_u64(7)).expect("it fits")
    }

    #[test]
    fn simple_shapes_are_what_they_are_called() {
        assert_eq!(links(&Topology::Line, 4), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(links(&Topology::Ring, 4), [(0, 1), (0, 3), (1, 2), (2, 3)]);
        assert_eq!(links(&Topology::Star, 4), [(0, 1), (0, 2), (0, 3)]);
        assert_eq!(links(&Topology::Clique, 4).len(), 6);
        assert_eq!(links(&Topology::Ring, 2), [(0, 1)]);
        assert_eq!(links(&Topology::Line, 1), []);
    }

    #[test]
    fn random_shapes_are_connected_and_of_about_their_degree() {
        let bitcoin = links(&Topology::Bitcoin2015, 1_000);
        let random = links(&Topology::Random { degree: 8 }, 1_000);
        let regions = links(&Topology::Regions { groups: 4, inner: 6, bridges: 3 }, 1_000);
        for (links, low, high) in [(&bitcoin, 18.0, 23.0), (&random, 7.5, 8.1), (&regions, 5.5, 6.2)] {
            let degree = 2.0 * links.len() as f64 / 1_000.0;
            assert!((low..high).contains(&degree), "{degree}");
            assert_eq!(reached(links, 1_000), 1_000);
        }
    }

    fn reached(links: &[(usize, usize)], nodes: usize) -> usize {
        let mut reached = vec![false; nodes];
        reached[0] = true;
        for _ in 0..nodes {
            for &(a, b) in links {
                let either = reached[a] || reached[b];
                (reached[a], reached[b]) = (either, either);
            }
        }
        reached.into_iter().filter(|reached| *reached).count()
    }

    #[test]
    fn a_file_of_links_is_read_and_a_bad_line_is_named() {
        assert_eq!(parse_links("# two links\n0 1\n\n1 2 # the second\n"), Ok(vec![(0, 1), (1, 2)]));
        let error = parse_links("0 1\n0 1 2\n").expect_err("three numbers");
        assert_eq!(error.to_string(), "line 2: `0 1 2` is not two numbers of nodes");
        let far = Topology::Links(vec![(0, 9)]).links(3, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(far, Err(TopologyError::NoSuchNode { node: 9, last: 2 }));
    }
}
