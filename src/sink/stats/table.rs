//! Columns as wide as what is in them.

/// Rows of cells, the first of them titles.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    /// How many columns, from the left, are words.
    words: usize,
}

impl Table {
    /// With these titles, the first `words` of columns of words, the others of amounts.
    pub(super) fn new(titles: Vec<String>, words: usize) -> Self {
        Self { rows: vec![titles], words }
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Lines: words begin below each other, amounts end there.
    pub(super) fn lines(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns).map(|column| self.width(column)).collect();
        let mut lines = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column < self.words {
                true => format!("{cell:<width$}"),
                false => format!("{cell:>width$}"),
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            lines.push_str(line.trim_end());
            lines.push('\n');
        }
        lines
    }

    fn width(&self, column: usize) -> usize {
        self.rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or_default()
    }
}
