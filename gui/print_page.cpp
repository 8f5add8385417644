#include "gui/print_page.h"

#include <QImage>
#include <QPageLayout>
#include <QPageSize>
#include <QPainter>
#include <QPdfWriter>
#include <QRegularExpression>
#include <QSvgRenderer>
#include <QTextDocument>
#include <QUrl>
#include <filesystem>

#include "sim/version.h"
#include "traces/error.h"
#include "traces/file.h"

namespace tidemark {
namespace {

constexpr int k_dots_per_inch = 1200;
constexpr int k_plot_width_px = 620;  // of the 1/96 inch that QTextDocument counts in
constexpr int k_plot_sharpness = 4;   // pixels of a plot for each of these

// What QTextDocument knows of the page's own style.
constexpr const char* k_paper_style =
    "body{font-family:sans-serif;font-size:9pt;color:#000}h1{font-size:17pt}h2{font-size:12pt}"
    "h3{font-size:10pt}th{background-color:#f0f0f0;text-align:left;padding:3px 6px}"
    "td{padding:3px 6px}td.fits{background-color:#e6f4ec}td.too_large{background-color:#fbe6df}"
    "small{color:#444}";

/// Plots as pictures by name: QTextDocument shows no SVG inside a page.
QString with_pictures(QString html, QTextDocument& document) {
  static const QRegularExpression plot("<svg.*?</svg>",
                                       QRegularExpression::DotMatchesEverythingOption);
  int number = 0;
  for (auto found = plot.match(html); found.hasMatch(); found = plot.match(html)) {
    QString svg = found.captured();
    svg.replace("currentColor", "#000");
    if (!svg.contains("xmlns=")) svg.replace(0, 4, "<svg xmlns=\"http://www.w3.org/2000/svg\"");
    QSvgRenderer renderer(svg.toUtf8());
    const QSize size = renderer.defaultSize();
    const int height_px =
        size.width() > 0 ? k_plot_width_px * size.height() / size.width() : k_plot_width_px / 2;
    QImage image(k_plot_width_px * k_plot_sharpness, height_px * k_plot_sharpness,
                 QImage::Format_RGB32);
    image.fill(Qt::white);
    QPainter painter(&image);
    renderer.render(&painter);
    painter.end();
    const QString name = QString("plot:%1").arg(number++);
    document.addResource(QTextDocument::ImageResource, QUrl(name), image);
    html.replace(found.capturedStart(), found.capturedLength(),
                 QString("<p><img src=\"%1\" width=\"%2\" height=\"%3\"></p>")
                     .arg(name)
                     .arg(k_plot_width_px)
                     .arg(height_px));
  }
  return html;
}

}  // namespace

void print_page(const std::string& html_file, const std::string& pdf_file) {
  QString html = QString::fromStdString(read_file(html_file));
  if (!html.contains("<html")) {
    throw InputError(InputError::Parts{
        .file = html_file, .expected = "a page of `tidemark report` (HTML)", .found = "none"});
  }
  static const QRegularExpression style("<style>.*?</style>",
                                        QRegularExpression::DotMatchesEverythingOption);
  html.remove(style);
  // Written beside the file, then renamed, as every output of ours.
  const std::string partial = pdf_file + ".part";
  require_writable(pdf_file);
  {
    QPdfWriter writer(QString::fromStdString(partial));
    writer.setCreator(k_tool);
    writer.setResolution(k_dots_per_inch);
    writer.setPageSize(QPageSize(QPageSize::A4));
    writer.setPageMargins(QMarginsF(0, 0, 0, 0));  // QTextDocument leaves 2 cm
    QTextDocument document;
    document.setDefaultStyleSheet(k_paper_style);
    document.setHtml(with_pictures(html, document));
    document.print(&writer);
  }
  std::error_code error;
  std::filesystem::rename(partial, pdf_file, error);
  if (error) throw InputError(pdf_file + ": cannot be written: " + error.message());
}

}  // namespace tidemark
