"""Deduplication against labels that people made: CORE and NEWS-COPY, as text-dedup measures itself.

    python benchmarks/labelled_dedup.py core train.jsonl
    python benchmarks/labelled_dedup.py news-copy test.parquet
    python benchmarks/labelled_dedup.py news-copy test_inf_data.json --pairs full_test_gt.json

CORE (Gyawali, Anastasiou, Knoth 2020; `pinecone/core-2020-05-10-deduplication` on the Hugging Face hub): 100,000
scholarly documents with `core_id`, `processed_title`, `processed_abstract` and `labelled_duplicates` (a list of
core_ids). NEWS-COPY (Silcock, D'Amico-Wong, Yang, Dell 2022): newspaper articles with much noise of OCR; either rows
with `article` and `cluster` (`chenghao/NEWS-COPY-eval`, split `test`), or the authors' two files, a JSON object of
articles by id, and a list of pairs of ids that are the same article. Rows are read from JSONL, a JSON array or Parquet;
a title, abstract or article that is null counts as empty.

text-dedup's figures to beat are 0.9518 (CORE, "macro F1") and 0.7293 (NEWS-COPY, adjusted Rand index), with MinHash of
word 2-grams at thresholds of 0.5 and 0.45, which are the defaults here; earlier versions of its README have 0.9534 and
0.742. What it calls macro F1 is the mean of the precisions
of duplicates and of others: it is printed as such, beside the macro F1 proper. Neither data set can be downloaded where
this was written, so that Curator's own figures on them are not known; `tests/benchmarks/test_labelled_dedup.py` runs
this on small sets in their formats.

A cluster is all documents that `dedup` dropped for the same keeper, and the keeper. Texts are prepared as text-dedup
does: title and abstract in lower case; articles without line breaks, ASCII punctuation and characters beyond ASCII.
"""

from __future__ import annotations

import argparse
import json
import string
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyarrow.parquet as pq
from measure import measure

CORE_FIGURE, NEWS_COPY_FIGURE = 0.9518, 0.7293
"""What text-dedup reports for its MinHash."""

KEPT_PUNCTUATION = "-"
"""Of ASCII punctuation, what text-dedup leaves in articles."""


@dataclass(frozen=True)
class Classes:
    """The documents by class, as Gyawali et al. 2020 count them: right where all labelled duplicates are predicted."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int
    exact: int

    @property
    def precisions(self) -> tuple[float, float]:
        """Of duplicates, and of others."""
        return (
            share(self.true_positive, self.false_positive),
            share(self.true_negative, self.false_negative),
        )

    @property
    def recalls(self) -> tuple[float, float]:
        """Of duplicates, and of others."""
        return (
            share(self.true_positive, self.false_negative),
            share(self.true_negative, self.false_positive),
        )

    @property
    def macro_precision(self) -> float:
        """What text-dedup calls macro F1."""
        return sum(self.precisions) / 2

    @property
    def macro_f1(self) -> float:
        """The mean of the F1 of both classes."""
        pairs = zip(self.precisions, self.recalls, strict=True)
        return sum(2 * p * r / (p + r) if p + r else 0.0 for p, r in pairs) / 2

    @property
    def accuracy(self) -> float:
        """Share of documents whose predicted duplicates are exactly the labelled ones."""
        whole = self.true_positive + self.false_positive + self.true_negative + self.false_negative
        return self.exact / whole if whole else 0.0


def share(right: int, wrong: int) -> float:
    """Right ones among all; 0 where there is none."""
    return right / (right + wrong) if right + wrong else 0.0


def classify(labels: Mapping[str, frozenset[str]], predicted: Mapping[str, frozenset[str]]) -> Classes:
    """The documents by class. A document with a prediction is a true positive if it has labelled duplicates and all are
    predicted, else a false one; one without is a true negative if it has no labelled duplicate."""
    counts = dict.fromkeys(("tp", "fp", "tn", "fn", "exact"), 0)
    for document, duplicates in labels.items():
        found = predicted.get(document, frozenset())
        if found:
            counts["tp" if duplicates and duplicates <= found else "fp"] += 1
        else:
            counts["fn" if duplicates else "tn"] += 1
        counts["exact"] += duplicates == found
    return Classes(counts["tp"], counts["fp"], counts["tn"], counts["fn"], counts["exact"])


def read_rows(path: Path, *columns: str) -> list[dict[str, object]]:
    """The records of a JSONL, JSON or Parquet file. Ends with a message where a record lacks one of the columns."""
    if path.suffix == ".parquet":
        rows = cast("list[dict[str, object]]", pq.read_table(path).to_pylist())
    else:
        with path.open(encoding="utf-8-sig") as file:
            is_array = file.read(1) == "["
            file.seek(0)
            rows = json.load(file) if is_array else [json.loads(line) for line in file if not line.isspace()]
    for number, row in enumerate(rows):
        if missing := [column for column in columns if column not in row]:
            sys.exit(f"{path}: record {number} has no {', '.join(missing)}; it has {', '.join(row)}")
    return rows


def core_text(row: Mapping[str, object]) -> str:
    """Title and abstract of a document of CORE."""
    return f"{row['processed_title'] or ''} {row['processed_abstract'] or ''}".lower()


def article_text(article: str) -> str:
    """An article of NEWS-COPY without hyphenation, line breaks, punctuation, and what is not ASCII."""
    joined = article.replace("-\n", "").replace("\n", " ")
    removed = "".join(sign for sign in string.punctuation if sign not in KEPT_PUNCTUATION)
    return joined.translate(str.maketrans("", "", removed)).encode("ascii", "ignore").decode()


def read_core(path: Path) -> tuple[list[str], list[str], dict[str, frozenset[str]]]:
    """The core_ids, texts, and labelled duplicates of CORE."""
    rows = read_rows(path, "core_id", "processed_title", "processed_abstract", "labelled_duplicates")
    ids = [str(row["core_id"]) for row in rows]
    labels = {
        name: frozenset(map(str, cast("Sequence[object]", row["labelled_duplicates"] or ())))
        for name, row in zip(ids, rows, strict=True)
    }
    return ids, [core_text(row) for row in rows], labels


def read_news_copy(path: Path, pairs: Path | None) -> tuple[list[str], list[str]]:
    """The texts of NEWS-COPY, and the label of the cluster of each."""
    if pairs is None:
        rows = read_rows(path, "article", "cluster")
        return [article_text(cast("str", row["article"] or "")) for row in rows], [str(row["cluster"]) for row in rows]
    articles: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8-sig"))
    same = [(str(one), str(other)) for one, other in json.loads(pairs.read_text(encoding="utf-8-sig"))]
    unknown = {name for pair in same for name in pair if name not in articles}
    if unknown:
        sys.exit(f"{pairs}: {len(unknown)} ids that {path} does not have, such as {min(unknown)}")
    clusters = unite(list(articles), same)
    return [article_text(row["article"] or "") for row in articles.values()], [clusters[name] for name in articles]


def unite(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The connected components of pairs: each name with the first name of its component."""
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    place = {name: number for number, name in enumerate(names)}
    for one, other in pairs:
        first, second = sorted((root(one), root(other)), key=place.__getitem__)
        parent[second] = first
    return {name: root(name) for name in names}


def deduplicate(texts: Sequence[str], arguments: argparse.Namespace) -> list[str]:
    """Run Curator's `dedup` alone: the cluster of each text. Prints what it took."""
    names = [str(number) for number in range(len(texts))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "texts.jsonl").open("w", encoding="utf-8") as file:
            for number, text in zip(names, texts, strict=True):
                file.write(json.dumps({"id": number, "text": text}) + "\n")
        parameters = {
            "threshold": arguments.threshold,
            "shingle_units": arguments.shingle_units,
            "permutations": arguments.permutations,
        }
        recipe = {"name": "labelled", "language": "off", "stages": [{"dedup": parameters}]}
        (folder / "recipe.yaml").write_text(json.dumps(recipe))
        run = folder / "run"
        options = ["-o", str(run), "-r", str(folder / "recipe.yaml"), "--workers", str(arguments.workers)]
        done = measure([sys.executable, "-m", "curator", "process", str(folder / "texts.jsonl"), *options])
        if done.returncode:
            sys.exit(done.stderr)
        if (run / "failed").exists():
            sys.exit("some texts could not be read")
        pairs = [
            (cast("str", row["id"]), cast("str", row["keeper"]))
            for path in sorted((run / "decisions").glob("*.parquet"))
            for row in pq.read_table(path, columns=["id", "keeper"]).to_pylist()
        ]
    print(
        f"{len(texts):,} documents, threshold {arguments.threshold}, shingles of {arguments.shingle_units}: "
        f"{len(pairs):,} dropped, {done.cpu_s:.1f} CPU seconds, {done.wall_s:.1f} s in all"
    )
    clusters = unite(names, pairs)
    return [clusters[number] for number in names]


def neighbours(ids: Sequence[str], clusters: Sequence[str]) -> dict[str, frozenset[str]]:
    """The other documents of each document's cluster."""
    members: dict[str, set[str]] = {}
    for name, cluster in zip(ids, clusters, strict=True):
        members.setdefault(cluster, set()).add(name)
    return {name: frozenset(members[cluster] - {name}) for name, cluster in zip(ids, clusters, strict=True)}


def run_core(arguments: argparse.Namespace) -> None:
    """Print how well CORE's labels are met."""
    ids, texts, labels = read_core(arguments.file)
    found = classify(labels, neighbours(ids, deduplicate(texts, arguments)))
    print(f"duplicates: precision {found.precisions[0]:.4f}, recall {found.recalls[0]:.4f}")
    print(f"others:     precision {found.precisions[1]:.4f}, recall {found.recalls[1]:.4f}")
    print(f"macro F1 {found.macro_f1:.4f}, accuracy {found.accuracy:.4f}")
    print(f"mean precision (text-dedup's macro F1) {found.macro_precision:.4f}, text-dedup: {CORE_FIGURE}")


def run_news_copy(arguments: argparse.Namespace) -> None:
    """Print how well NEWS-COPY's clusters are met."""
    from sklearn.metrics import adjusted_rand_score

    texts, labels = read_news_copy(arguments.file, arguments.pairs)
    clusters = deduplicate(texts, arguments)
    print(f"adjusted Rand index {adjusted_rand_score(labels, clusters):.4f}, text-dedup: {NEWS_COPY_FIGURE}")


def main() -> None:
    """Read, deduplicate, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, threshold, function in (("core", 0.5, run_core), ("news-copy", 0.45, run_news_copy)):
        command = commands.add_parser(name)
        command.add_argument("file", type=Path)
        command.add_argument("--threshold", type=float, default=threshold)
        command.add_argument("--shingle-units", type=int, default=2)
        command.add_argument("--permutations", type=int, default=256)
        command.add_argument("--workers", type=int, default=2)
        command.set_defaults(function=function)
        if name == "news-copy":
            command.add_argument("--pairs", type=Path)
    arguments = parser.parse_args()
    for path in (arguments.file, getattr(arguments, "pairs", None)):
        if path is not None and not path.is_file():
            parser.error(f"{path} is not a file")
    arguments.function(arguments)


if __name__ == "__main__":
    main()
