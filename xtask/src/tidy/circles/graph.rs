//! Which file imports which, and the circles in that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Files, the files that each imports, and the line where it does first.
#[derive(Debug, Default)]
pub(super) struct Graph {
    imports: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Graph {
    /// Adds an import. A file that names itself imports nothing.
    pub(super) fn add(&mut self, file: &str, line: usize, imported: &str) {
        if file != imported {
            let lines = self.imports.entry(file.to_owned()).or_default();
            let first = lines.entry(imported.to_owned()).or_insert(line);
            *first = line.min(*first);
        }
    }

    /// What one file imports, and where.
    pub(super) fn imports_of(&self, file: &str) -> impl Iterator<Item = (&str, usize)> {
        let imports = self.imports.get(file).into_iter().flatten();
        imports.map(|(imported, line)| (imported.as_str(), *line))
    }

    /// The largest sets of files each of which leads to all others of its set (the strongly
    /// connected components), without those of a single file.
    pub(super) fn circles(&self) -> Vec<Vec<&str>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.imports.keys().map(|file| (file.as_str(), self.reached_from(file))).collect();
        let leads_to = |from: &str, to: &str| reached.get(from).is_some_and(|all| all.contains(to));
        let mut circles: Vec<Vec<&str>> = Vec::new();
        for file in reached.keys().copied().filter(|file| leads_to(file, file)) {
            match circles
                .iter_mut()
                .find(|circle| leads_to(file, circle[0]) && leads_to(circle[0], file))
            {
                Some(circle) => circle.push(file),
                None => circles.push(vec![file]),
            }
        }
        circles
    }

    fn reached_from<'g>(&'g self, file: &'g str) -> BTreeSet<&'g str> {
        let (mut reached, mut to_visit) = (BTreeSet::new(), vec![file]);
        while let Some(file) = to_visit.pop() {
            let new = self.imports_of(file).map(|(imported, _)| imported);
            to_visit.extend(new.filter(|imported| reached.insert(*imported)));
        }
        reached
    }

    /// The shortest way from a file of the circle back to itself, as imports: file, line, imported
    /// file. Of several it is the one whose first file comes first.
    pub(super) fn shortest_way_round<'g>(
        &'g self,
        circle: &[&'g str],
    ) -> Vec<(&'g str, usize, &'g str)> {
        let ways = circle.iter().filter_map(|file| self.way_back_to(file));
        ways.min_by_key(Vec::len).unwrap_or_default()
    }

    /// Searches breadth first.
    fn way_back_to<'g>(&'g self, start: &'g str) -> Option<Vec<(&'g str, usize, &'g str)>> {
        let mut came_by: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
        let mut to_visit = VecDeque::from([start]);
        while let Some(file) = to_visit.pop_front() {
            for (imported, line) in self.imports_of(file) {
                if !came_by.contains_key(imported) {
                    came_by.insert(imported, (file, line));
                    to_visit.push_back(imported);
                }
            }
            if came_by.contains_key(start) {
                break;
            }
        }
        let mut way = Vec::new();
        let mut imported = start;
        loop {
            let (file, line) = *came_by.get(imported)?;
            way.push((file, line, imported));
            imported = file;
            if file == start {
                way.reverse();
                return Some(way);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Graph;

    fn graph(imports: &[(&str, usize, &str)]) -> Graph {
        let mut graph = Graph::default();
        imports.iter().for_each(|(file, line, imported)| graph.add(file, *line, imported));
        graph
    }

    #[test]
    fn files_below_each_other_are_no_circle() {
        assert!(
            graph(&[("a", 1, "b"), ("a", 2, "c"), ("b", 1, "c"), ("c", 1, "c")])
                .circles()
                .is_empty()
        );
    }

    #[test]
    fn circles_are_as_large_as_they_go_and_apart_from_each_other() {
        let graph = graph(&[
            ("a", 1, "b"),
            ("b", 1, "a"),
            ("b", 2, "c"),
            ("c", 1, "a"),
            ("c", 2, "d"),
            ("d", 1, "e"),
            ("e", 1, "d"),
            ("e", 2, "f"),
        ]);
        assert_eq!(graph.circles(), [vec!["a", "b", "c"], vec!["d", "e"]]);
    }

    #[test]
    fn the_shortest_way_round_has_the_first_line_of_each_import() {
        let graph =
            graph(&[("a", 1, "b"), ("b", 1, "c"), ("c", 1, "a"), ("c", 9, "b"), ("c", 7, "b")]);
        let way = graph.shortest_way_round(&["a", "b", "c"]);
        assert_eq!(way, [("b", 1, "c"), ("c", 7, "b")]);
    }
}
