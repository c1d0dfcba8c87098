// Reads the golden messages of every schema release with the generated types and writes them again without loss.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "telemetry/v1/control.pb.h"
#include "telemetry/v1/message.pb.h"

namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::DescriptorPool;
using ::google::protobuf::Message;
using ::google::protobuf::MessageFactory;
using ::google::protobuf::util::JsonParseOptions;
using ::google::protobuf::util::JsonPrintOptions;
using ::google::protobuf::util::JsonStringToMessage;
using ::google::protobuf::util::MessageDifferencer;
using ::google::protobuf::util::MessageToJsonString;

std::string Contents(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Differences between two messages, including unknown fields; empty if they are equal.
std::string Difference(const Message& one, const Message& other) {
  std::string difference;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  return differencer.Compare(one, other) ? "" : "difference: " + difference;
}

// Reads and rewrites a golden message. Returns an error message, or an empty string on success.
std::string CheckGolden(const std::filesystem::path& golden) {
  const std::string file = golden.filename().string();
  const Descriptor* type =
      DescriptorPool::generated_pool()->FindMessageTypeByName("telemetry.v1." + file.substr(0, file.find('.')));
  if (type == nullptr) return "unknown message type";
  const Message* prototype = MessageFactory::generated_factory()->GetPrototype(type);
  const auto message = [&] { return std::unique_ptr<Message>(prototype->New()); };

  const auto from_json = message();
  JsonParseOptions lenient;
  lenient.ignore_unknown_fields = true;
  const auto read = JsonStringToMessage(Contents(golden), from_json.get(), lenient);
  if (!read.ok()) return "cannot read JSON: " + read.ToString();
  const auto from_binary = message();
  if (!from_binary->ParseFromString(Contents(std::filesystem::path(golden).replace_extension("binpb")))) {
    return "cannot read protobuf";
  }
  if (auto difference = Difference(*from_json, *from_binary); !difference.empty()) return difference;

  std::string json;
  JsonPrintOptions schema_names;
  schema_names.preserve_proto_field_names = true;
  const auto written = MessageToJsonString(*from_json, &json, schema_names);
  if (!written.ok()) return "cannot write JSON: " + written.ToString();
  const auto json_again = message();
  const auto read_again = JsonStringToMessage(json, json_again.get());
  if (!read_again.ok()) return "cannot read rewritten JSON: " + read_again.ToString();
  if (auto difference = Difference(*from_json, *json_again); !difference.empty()) return difference;

  const auto binary_again = message();
  if (!binary_again->ParseFromString(from_json->SerializeAsString())) return "cannot read rewritten protobuf";
  return Difference(*from_json, *binary_again);
}

}  // namespace

int main() {
  // Registers the message types: the linker drops files that nothing refers to.
  telemetry::v1::TelemetryMessage::descriptor();
  telemetry::v1::HealthResponse::descriptor();

  int passed = 0, failed = 0;
  // Bazel starts tests in the runfiles root.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           "proto/released", std::filesystem::directory_options::follow_directory_symlink)) {
    const auto& golden = entry.path();
    const auto release = golden.parent_path().parent_path().filename().string();
    if (golden.extension() != ".json" || release.rfind("1.", 0) != 0) continue;
    const std::string error = CheckGolden(golden);
    if (error.empty()) {
      ++passed;
    } else {
      ++failed;
      std::cout << "FAILED " << golden.string() << ": " << error << std::endl;
    }
  }
  const bool ok = passed > 0 && failed == 0;
  std::cout << "test result: " << (ok ? "ok" : "FAILED") << ". " << passed << " passed; " << failed << " failed;"
            << std::endl;
  return ok ? 0 : 1;
}
