// Pages of `tidemark report` and `show` on paper.
#pragma once

#include <string>

namespace tidemark {

/// Prints an HTML page of ours as PDF on A4: text and tables by QTextDocument, plots by QtSvg.
/// Throws InputError when one cannot be read or the other cannot be written. Needs a QApplication.
void print_page(const std::string& html_file, const std::string& pdf_file);

}  // namespace tidemark
