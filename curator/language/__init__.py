"""The language of a document: tags (BCP 47), identification by fastText lid.176."""
