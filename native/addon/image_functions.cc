#include "addon/image_functions.h"

#include <memory>
#include <optional>
#include <string>

#include "addon/arguments.h"
#include "addon/errors.h"
#include "addon/process.h"

namespace sandloom::addon {
namespace {

// Opens on a thread of libuv's pool; registers the image only when there is someone to hand its id to.
class ImageOpening : public Napi::AsyncWorker {
 public:
  ImageOpening(Napi::Env env, std::string base_path, std::optional<std::string> delta_path)
      : Napi::AsyncWorker(env, "sandloom.imageOpen"),
        deferred_(Napi::Promise::Deferred::New(env)),
        base_path_(std::move(base_path)),
        delta_path_(std::move(delta_path)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      image_ = Process::get().images.open(base_path_, delta_path_);
    } catch (const Error& error) {
      error_ = error;
    } catch (const std::exception& error) {
      error_ = Error(ErrorCode::kSystemError, error.what());
    }
  }

  void OnOK() override {
    if (error_) {
      deferred_.Reject(toJavaScript(Env(), *error_).Value());
      return;
    }
    const Napi::Object result = Napi::Object::New(Env());
    result.Set("bytes", asValue(image_->bytes()));
    result.Set("content_hash", Napi::String::New(Env(), std::to_string(image_->contentHash())));
    result.Set("own_bytes", asValue(image_->ownBytes()));
    result.Set("id", asValue(Process::get().images.add(std::move(image_))));
    deferred_.Resolve(result);
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::string base_path_;
  std::optional<std::string> delta_path_;
  std::shared_ptr<const Image> image_;
  std::optional<Error> error_;
};

Napi::Value imageOpen(const Napi::CallbackInfo& info) {
  auto opening = std::make_unique<ImageOpening>(info.Env(), textArgument(info[0], "base_path"),
                                                textOrNullArgument(info[1], "delta_path"));
  const Napi::Promise promise = opening->promise();
  opening.release()->Queue();  // it deletes itself when done
  return promise;
}

Napi::Value imageClose(const Napi::CallbackInfo& info) {
  Process::get().images.close(sizeArgument(info[0], "image"));
  return info.Env().Undefined();
}

Napi::Value imageInfo(const Napi::CallbackInfo& info) {
  const Napi::Object result = Napi::Object::New(info.Env());
  result.Set("bytes", asValue(Process::get().images.get(sizeArgument(info[0], "image"))->bytes()));
  return result;
}

}  // namespace

void exportImageFunctions(Napi::Object exports) {
  exportFunction<imageOpen>(exports, "imageOpen");
  exportFunction<imageClose>(exports, "imageClose");
  exportFunction<imageInfo>(exports, "imageInfo");
}

}  // namespace sandloom::addon
